//! Debian's containerd with its own shim for runc, and our command line in runc's place.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wharf_testkit::{need, unpacked_package, wait_for};

use crate::support::{Bench, PATIENCE, RUNTIME, Said, cgroups};

/// A containerd with folders, a socket and a mount namespace of its own.
struct Containerd {
    daemon: std::process::Child,
    folder: PathBuf,
    programs: PathBuf,
    namespace: String,
}

impl Containerd {
    /// `/run/containerd`, where the shims' sockets are whatever the configuration says, is a file system of its own.
    fn start(bench: &Bench) -> Option<Self> {
        let programs = need(unpacked_package("containerd"))?.join("usr/bin");
        let folder = bench.path().join("containerd");
        fs::create_dir(&folder).unwrap();
        let config = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {socket:?}\n",
            root = folder.join("root"),
            state = folder.join("state"),
            socket = folder.join("socket"),
        );
        fs::write(folder.join("config.toml"), config).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let script = "mkdir -p /run/containerd && mount -t tmpfs none /run/containerd && exec containerd -c \"$0\"";
        let daemon = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .arg(folder.join("config.toml"))
            .env("PATH", path(&programs))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let containerd = Self { daemon, folder, programs, namespace: bench.id("ns") };
        let answers = || containerd.ctr(&["version"]).code == 0;
        assert!(wait_for(PATIENCE, answers), "{}", containerd.log());
        Some(containerd)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// `ctr` in the daemon's mount namespace.
    fn ctr(&self, args: &[&str]) -> Said {
        let mut command = Command::new("nsenter");
        command.arg("--mount").arg("--target").arg(self.daemon.id().to_string()).arg("--");
        command.arg(self.programs.join("ctr")).arg("--address").arg(self.folder.join("socket"));
        command.args(["--namespace", &self.namespace]).args(args);
        command.env("PATH", path(&self.programs)).stdin(Stdio::null()).output().unwrap().into()
    }

    /// A container of a root that is there, by our command line.
    fn run(&self, bench: &Bench, flags: &[&str], id: &str, args: &[&str]) -> Said {
        let (rootfs, state) = (bench.rootfs(), bench.state_root());
        let mut all = vec!["run", "--runc-binary", RUNTIME, "--runc-root", state.to_str().unwrap()];
        all.extend(flags);
        all.extend(["--rootfs", rootfs.to_str().unwrap(), id]);
        all.extend(args);
        self.ctr(&all)
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_raw(i32::try_from(self.daemon.id()).unwrap()).unwrap(),
            rustix::process::Signal::TERM,
        );
        let _ = self.daemon.wait();
        // containerd's own, above its containers'.
        for group in cgroups(&self.namespace) {
            let _ = fs::remove_dir(group);
        }
    }
}

fn path(programs: &Path) -> String {
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display())
}

#[test]
fn ctr_runs_containers_with_it() {
    let bench = Bench::new();
    let Some(containerd) = Containerd::start(&bench) else { return };
    let said = containerd.run(&bench, &["--rm"], "one", &["/bin/sh", "-c", "echo from inside; hostname; exit 3"]);
    assert_eq!(said.code, 3, "{said:?}\n{}", containerd.log());
    assert!(said.stdout.starts_with("from inside\n"), "{said:?}");

    let said = containerd.run(&bench, &["--detach", "--memory-limit", "50000000"], "two", &["/bin/sleep", "1000"]);
    assert_eq!(said.code, 0, "{said:?}\n{}", containerd.log());
    let tasks = containerd.ctr(&["tasks", "ls"]).ok();
    assert!(tasks.contains("two") && tasks.contains("RUNNING"), "{tasks}");
    let said =
        containerd.ctr(&["tasks", "exec", "--exec-id", "e", "two", "/bin/sh", "-c", "cat /proc/1/cmdline; exit 5"]);
    assert_eq!((said.stdout.as_str(), said.code), ("/bin/sleep\x001000\0", 5), "{said:?}");
    let said = containerd.ctr(&["tasks", "exec", "--exec-id", "t", "-t", "two", "/bin/tty"]);
    assert_ne!(said.code, 0, "ctr itself has no terminal: {said:?}");
    containerd.ctr(&["tasks", "pause", "two"]).ok();
    assert!(containerd.ctr(&["tasks", "ls"]).ok().contains("PAUSED"));
    containerd.ctr(&["tasks", "resume", "two"]).ok();
    let metrics = containerd.ctr(&["tasks", "metrics", "two"]).ok();
    assert!(metrics.contains("memory.usage_in_bytes") || metrics.contains("memory.usage"), "{metrics}");
    containerd.ctr(&["tasks", "kill", "--signal", "9", "two"]).ok();
    let stopped = || containerd.ctr(&["tasks", "ls"]).ok().contains("STOPPED");
    assert!(wait_for(PATIENCE, stopped), "{}", containerd.log());
    let said = containerd.ctr(&["tasks", "delete", "two"]);
    assert!(said.stderr.contains("exit with non-zero exit code 137"), "{said:?}");
    containerd.ctr(&["containers", "delete", "two"]).ok();

    let said = containerd.run(&bench, &["--rm"], "bad", &["/nowhere"]);
    assert!(said.stderr.contains("stat /nowhere: no such file or directory"), "our own words come through: {said:?}");
    drop(containerd);
    // The shim's own folder below the one it was told, as it leaves it with runc.
    fs::remove_dir(bench.state_root().join(bench.id("ns"))).unwrap();
    assert!(cgroups(&bench.id("ns")).is_empty());
}
