use std::{
    fs,
    io::IoSliceMut,
    mem::MaybeUninit,
    os::{
        fd::OwnedFd,
        unix::{fs::symlink, net::UnixListener},
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use wharf_testkit::wait_for;

/// Nothing here takes longer, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The command under test.
pub const RUNTIME: &str = env!("CARGO_BIN_EXE_wharf-oci");

/// A bundle and a folder for state; at its end everything must be gone.
pub struct Bench {
    folder: tempfile::TempDir,
    /// Of every container, which may so run beside others on the machine.
    name: String,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("oci-{}", folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.'));
        let bench = Self { folder, name };
        fill(&bench.rootfs());
        bench.write(&bench.spec(&["sleep", "1000"]));
        bench
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn bundle(&self) -> PathBuf {
        self.path().join("bundle")
    }

    pub fn rootfs(&self) -> PathBuf {
        self.bundle().join("rootfs")
    }

    pub fn state_root(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A container id that no other test has.
    pub fn id(&self, own: &str) -> String {
        format!("{}-{own}", self.name)
    }

    pub fn write(&self, spec: &Value) {
        fs::write(self.bundle().join("config.json"), spec.to_string()).unwrap();
    }

    /// A container as others describe it.
    pub fn spec(&self, args: &[&str]) -> Value {
        let capabilities = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"];
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": args,
                "env": ["PATH=/bin"],
                "cwd": "/",
                "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            },
            "root": { "path": "rootfs" },
            "hostname": "inside",
            "annotations": { "org.example.key": "value" },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
                { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                  "options": ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            ],
            "linux": {
                "namespaces": [
                    { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }, { "type": "network" },
                ],
                "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            },
        })
    }

    /// The command, with state of its own.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(RUNTIME);
        command.arg("--root").arg(self.state_root()).args(args).current_dir(self.bundle()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// Success is expected.
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).ok()
    }

    /// Creates a container whose streams are files: pipes would be held open by it.
    pub fn create(&self, own: &str) -> String {
        let id = self.id(own);
        let said = self.with_files(&["create", &id], own);
        assert_eq!(said.code, 0, "{said:?}");
        id
    }

    /// Runs a command whose streams are files, as what it leaves running keeps them.
    pub fn with_files(&self, args: &[&str], own: &str) -> Said {
        let file = |name: &str| fs::File::create(self.path().join(format!("{own}.{name}"))).unwrap();
        let status = self.command(args).stdout(file("out")).stderr(file("err")).status().unwrap();
        Said { stdout: self.wrote(own, "out"), stderr: self.wrote(own, "err"), code: status.code().unwrap() }
    }

    /// What a container made by [`Bench::create`] has written.
    pub fn wrote(&self, own: &str, stream: &str) -> String {
        fs::read_to_string(self.path().join(format!("{own}.{stream}"))).unwrap()
    }

    pub fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.ok(&["state", id])).unwrap()
    }

    pub fn status(&self, id: &str) -> String {
        self.state(id)["status"].as_str().unwrap().to_owned()
    }

    pub fn wait_for_status(&self, id: &str, status: &str) {
        assert!(wait_for(PATIENCE, || self.status(id) == status), "{id} is {}", self.status(id));
    }

    /// The processes in a container's cgroup, as the kernel lists them.
    pub fn pids(&self, id: &str) -> Vec<i64> {
        serde_json::from_str(&self.ok(&["ps", "--format", "json", id])).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for id in Command::new(RUNTIME)
            .arg("--root")
            .arg(self.state_root())
            .args(["list", "--quiet"])
            .output()
            .map(|out| String::from_utf8_lossy(&out.stdout).into_owned())
            .unwrap_or_default()
            .lines()
        {
            let _ = self.command(&["delete", "--force", id]).status();
        }
        if std::thread::panicking() {
            return;
        }
        let left: Vec<_> = fs::read_dir(self.state_root()).into_iter().flatten().flatten().map(|e| e.path()).collect();
        assert!(left.is_empty(), "state is left: {left:?}");
        let groups = cgroups(&self.name);
        assert!(groups.is_empty(), "cgroups are left: {groups:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.path().to_str().unwrap()), "mounts are left:\n{mounts}");
    }
}

impl Said {
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// The error's text, with the exit code that is expected.
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.stderr
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

/// Takes the descriptor that a command sends, which has this name.
pub fn receive(listener: &UnixListener, named: &[u8]) -> OwnedFd {
    let (stream, _) = listener.accept().unwrap();
    let mut name = [0; 128];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(&stream, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    assert_eq!(&name[..got.bytes], named);
    let fds = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fds.expect("a descriptor came")
}

/// The cgroups of all hierarchies whose name contains this.
pub fn cgroups(name: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    hierarchies
        .chain([PathBuf::from("/sys/fs/cgroup")])
        .filter_map(|hierarchy| fs::read_dir(hierarchy).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(|own| own.to_string_lossy().contains(name)))
        .collect()
}

/// A root with Debian's busybox in it.
pub fn fill(rootfs: &Path) {
    for directory in ["bin", "dev", "etc", "proc", "sys", "tmp", "root"] {
        fs::create_dir_all(rootfs.join(directory)).unwrap();
    }
    let busybox = busybox();
    fs::copy(busybox, rootfs.join("bin/busybox")).unwrap();
    let libraries = Command::new("ldd").arg(busybox).output().unwrap();
    for library in String::from_utf8_lossy(&libraries.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
        let library = library.trim_end_matches(':');
        if Path::new(library) == busybox {
            continue;
        }
        let target = rootfs.join(library.trim_start_matches('/'));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(library, target).unwrap();
    }
    let applets = Command::new(busybox).arg("--list").output().unwrap();
    for applet in String::from_utf8_lossy(&applets.stdout).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
    fs::write(rootfs.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
}

fn busybox() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let installed = PathBuf::from("/bin/busybox");
        if installed.exists() {
            return installed;
        }
        wharf_testkit::unpacked_package("busybox").unwrap().join("bin/busybox")
    })
}
