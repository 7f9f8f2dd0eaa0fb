use std::{
    fs::{self, File},
    io::Read as _,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::symlink,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{OnceLock, mpsc},
    time::Duration,
};

use oci_spec::runtime::{Process as ProcessSpec, Spec};
use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{WaitId, WaitIdOptions, waitid},
};
use serde_json::{Value, json};
use wharf_runtime::{
    CgroupJoin, Container, CreateRequest, ExecRequest, PodNamespaces, Process, ProcessStdio, RootKind, RootMount,
    assemble_idmapped_root, assemble_root, create, user_namespace,
};

/// Nothing here takes longer, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What Docker gives a container.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Debian's own, installed or from its package in the tests' cache.
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

/// A folder with one image layer, an upper and a bundle.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

/// What a process wrote, and how it ended.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

/// The inner ends go into a request, the outer ends are read.
pub struct Pipes {
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
}

impl Sandbox {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for own in ["lower", "upper", "work", "bundle"] {
            fs::create_dir(folder.path().join(own)).unwrap();
        }
        let sandbox = Self { folder };
        sandbox.fill();
        sandbox
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the image's layer.
    pub fn lower(&self, path: &str) -> PathBuf {
        self.path().join("lower").join(path)
    }

    /// A path in the layer that is written.
    pub fn upper(&self, path: &str) -> PathBuf {
        self.path().join("upper").join(path)
    }

    fn fill(&self) {
        for directory in ["bin", "etc", "tmp", "root", "home/dev", "lib", "lib64", "usr/bin"] {
            fs::create_dir_all(self.lower(directory)).unwrap();
        }
        let busybox = busybox();
        fs::copy(busybox, self.lower("bin/busybox")).unwrap();
        let libraries = Command::new("ldd").arg(busybox).output().unwrap();
        for library in String::from_utf8(libraries.stdout).unwrap().split_whitespace().filter(|w| w.starts_with('/')) {
            let target = self.lower(library.trim_start_matches('/'));
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(library, target).unwrap();
        }
        let applets = Command::new(busybox).arg("--list").output().unwrap();
        for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
            symlink("busybox", self.lower("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\ndev:x:1001:1001::/home/dev:/bin/sh\n";
        fs::write(self.lower("etc/passwd"), passwd).unwrap();
        fs::write(self.lower("etc/group"), "root:x:0:\ndev:x:1001:\naudio:x:29:dev\n").unwrap();
    }

    /// The usual specification, to be changed.
    pub fn spec(&self, args: &[&str]) -> Value {
        spec(args)
    }

    /// The layer and an upper over it. Volatile, or each teardown would wait for the whole disk; what the kernel left
    /// to refuse a second mount is removed, for no power is cut here.
    pub fn root(&self) -> RootMount {
        let _ = fs::remove_dir_all(self.path().join("work/work"));
        RootMount {
            label: None,
            kind: RootKind::Overlay {
                lowers: vec!["lower".into()],
                upper: Some("upper".into()),
                work: Some("work".into()),
                volatile: true,
            },
            beneath: self.path().to_owned(),
        }
    }

    pub fn create(&self, spec: &Value, stdio: ProcessStdio) -> wharf_error::Result<Container> {
        self.create_in(spec, stdio, &PodNamespaces::default(), None)
    }

    pub fn create_in(
        &self,
        spec: &Value,
        stdio: ProcessStdio,
        namespaces: &PodNamespaces,
        cgroup: Option<CgroupJoin>,
    ) -> wharf_error::Result<Container> {
        let spec: Spec = serde_json::from_value(spec.clone()).unwrap();
        let user_namespace = user_namespace(&spec, namespaces)?;
        create(CreateRequest {
            id: "test",
            bundle: &self.path().join("bundle"),
            spec: &spec,
            root: match &user_namespace {
                Some(user) => assemble_idmapped_root(&self.root(), user)?,
                None => assemble_root(&self.root())?,
            },
            sources: std::collections::BTreeMap::new(),
            namespaces,
            user_namespace,
            cgroup,
            merge_image_groups: true,
            folders: &[],
            stdio,
        })
    }

    /// Runs a container to its end.
    pub fn run(&self, spec: &Value) -> Output {
        let (stdio, pipes) = pipes();
        let container = self.create(spec, stdio).unwrap();
        container.start().unwrap();
        pipes.wait(container.pidfd())
    }

    /// Runs a container with these folders to its end.
    pub fn run_with_folders(&self, spec: &Value, folders: &[PathBuf]) -> Output {
        let (stdio, pipes) = pipes();
        let spec: Spec = serde_json::from_value(spec.clone()).unwrap();
        let container = create(CreateRequest {
            id: "test",
            bundle: &self.path().join("bundle"),
            spec: &spec,
            root: assemble_root(&self.root()).unwrap(),
            namespaces: &PodNamespaces::default(),
            user_namespace: None,
            cgroup: None,
            sources: std::collections::BTreeMap::new(),
            merge_image_groups: true,
            folders,
            stdio,
        })
        .unwrap();
        container.start().unwrap();
        pipes.wait(container.pidfd())
    }

    /// Runs a shell script in a container to its end.
    pub fn sh(&self, script: &str) -> Output {
        self.run(&self.spec(&["sh", "-c", script]))
    }

    /// Why a container cannot be created.
    pub fn refusal(&self, spec: &Value) -> wharf_error::Error {
        let (stdio, _pipes) = pipes();
        self.create(spec, stdio).expect_err("it was created")
    }

    /// Why a container that was created cannot be started.
    pub fn start_error(&self, spec: &Value) -> (String, i32) {
        let (stdio, pipes) = pipes();
        let container = self.create(spec, stdio).unwrap();
        let error = container.start().expect_err("it was started").to_string();
        (error, pipes.wait(container.pidfd()).code)
    }

    /// A container that runs until it is killed.
    pub fn sleeper(&self) -> Sleeper {
        self.sleeper_of(&self.spec(&["sleep", "1000"]))
    }

    pub fn sleeper_of(&self, spec: &Value) -> Sleeper {
        let (stdio, pipes) = pipes();
        let container = self.create(spec, stdio).unwrap();
        container.start().unwrap();
        Sleeper { container, pipes: Some(pipes) }
    }
}

/// A running container, killed and reaped at the end of its scope.
pub struct Sleeper {
    pub container: Container,
    pipes: Option<Pipes>,
}

impl Sleeper {
    /// Runs a further process to its end.
    pub fn exec(&self, process: &Value) -> Output {
        let (process, pipes) = self.start(process).unwrap();
        pipes.wait(process.pidfd())
    }

    pub fn start(&self, process: &Value) -> wharf_error::Result<(Process, Pipes)> {
        let process: ProcessSpec = serde_json::from_value(process.clone()).unwrap();
        let (stdio, pipes) = pipes();
        Ok((self.container.exec(ExecRequest { process: &process, stdio, cgroup: None })?, pipes))
    }

    pub fn sh(&self, script: &str) -> Output {
        self.exec(&process(&["sh", "-c", script]))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.container.kill(libc::SIGKILL);
        if let Some(pipes) = self.pipes.take() {
            pipes.wait(self.container.pidfd());
        }
    }
}

impl Pipes {
    /// Reads to the end and reaps.
    pub fn wait(self, pidfd: BorrowedFd<'_>) -> Output {
        let stdout = self.stdout.recv_timeout(PATIENCE).expect("the process does not end");
        let stderr = self.stderr.recv_timeout(PATIENCE).expect("the process does not end");
        Output { stdout, stderr, code: reap(pidfd) }
    }
}

impl Output {
    /// What it wrote, if it succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout.trim_end().to_owned()
    }
}

/// Reaps a process that has ended or is about to: its exit code, or 128 and its signal.
pub fn reap(pidfd: BorrowedFd<'_>) -> i32 {
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap())
}

/// No input, and pipes for the output, read by threads so that nothing blocks.
pub fn pipes() -> (ProcessStdio, Pipes) {
    fn reader() -> (OwnedFd, mpsc::Receiver<String>) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            File::from(read).read_to_end(&mut bytes).unwrap();
            let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        });
        (write, receiver)
    }
    let (out, stdout) = reader();
    let (err, stderr) = reader();
    let null = File::open("/dev/null").unwrap();
    (
        ProcessStdio::Files { stdin: null.as_fd().try_clone_to_owned().unwrap(), stdout: out, stderr: err },
        Pipes { stdout, stderr },
    )
}

/// A process as CRI describes it.
pub fn process(args: &[&str]) -> Value {
    json!({
        "user": { "uid": 0, "gid": 0 },
        "args": args,
        "env": ["PATH=/usr/bin:/bin"],
        "cwd": "/",
        "noNewPrivileges": true,
        "capabilities": {
            "bounding": DEFAULT_CAPABILITIES, "effective": DEFAULT_CAPABILITIES, "permitted": DEFAULT_CAPABILITIES,
        },
    })
}

/// A container as CRI describes it.
pub fn spec(args: &[&str]) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": process(args),
        "root": { "path": "rootfs" },
        "hostname": "inside",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
            { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
              "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] },
        ],
        "linux": {
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }, { "type": "network" },
                { "type": "cgroup" },
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/proc/does-not-exist",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// A bind mount.
pub fn bind(source: &Path, at: &str, options: &[&str]) -> Value {
    json!({ "destination": at, "type": "bind", "source": source, "options": options })
}

/// Appends to a list in a specification.
pub fn push(list: &mut Value, item: Value) {
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut().unwrap().push(item);
}
