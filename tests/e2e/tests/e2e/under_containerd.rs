//! Our shim as a runtime of stock containerd: Debian's, or the one in the folder `WHARF_CONTAINERD`, with Debian's `ctr` and
//! its CRI with the real crictl.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_testkit::{
    Compression, Crictl, Daemon, Image, Kind, Process, busybox_layers, need, processes, root, unpacked_package,
    wait_for,
};

const PATIENCE: Duration = Duration::from_secs(60);

const RUNTIME: &str = "io.containerd.wharf.v1";

const IMAGE: &str = "images.test/busybox:1";

const PAUSE: &str = "images.test/pause:1";

/// A containerd with folders, a socket and a mount namespace of its own, and the runtime handler `wharf`.
struct Containerd {
    daemon: Child,
    folder: TempDir,
    ctr: PathBuf,
    crictl: Crictl,
    cgroup: String,
}

impl Containerd {
    fn start() -> Option<Self> {
        need(root())?;
        need(Crictl::find())?;
        let package = need(unpacked_package("containerd"))?.join("usr/bin");
        let programs = std::env::var_os("WHARF_CONTAINERD").map_or_else(|| package.clone(), PathBuf::from);
        let runc = need(unpacked_package("runc"))?.join("usr/sbin");
        let folder = tempfile::Builder::new().prefix("wharf-ctd-").tempdir_in("/run").unwrap();
        let path = |name: &str| folder.path().join(name);
        let config = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n[grpc]\naddress = {socket:?}\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = {opt:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{PAUSE}\"\nrestrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = {bin:?}\nconf_dir = {conf:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"native\"\ndefault_runtime_name = \"wharf\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.wharf]\nruntime_type = \"{RUNTIME}\"\n",
            root = path("root"),
            state = path("state"),
            socket = path("socket"),
            opt = path("opt"),
            bin = path("cni"),
            conf = path("net.d"),
        );
        fs::write(path("config.toml"), config).unwrap();
        let search = format!(
            "{}:{}:{}:/usr/sbin:/usr/bin:/sbin:/bin",
            programs.display(),
            Daemon::bin_dir().unwrap().display(),
            runc.display()
        );
        let daemon = launch(folder.path(), &search);
        let crictl = Crictl::new(&path("socket"), folder.path()).unwrap();
        let cgroup = format!("/wharf-ctd-{}", daemon.id());
        let containerd = Self { daemon, folder, ctr: package.join("ctr"), crictl, cgroup };
        containerd.wait_ready();
        Some(containerd)
    }

    fn wait_ready(&self) {
        let answers = || self.ctr(&["plugins", "ls"]).status.success() && self.crictl.ok(&["info"]).is_ok();
        assert!(wait_for(PATIENCE, answers), "{}", self.log());
    }

    /// Kills it, and starts it again.
    fn restart(&mut self) {
        let search = fs::read(format!("/proc/{}/environ", self.daemon.id())).unwrap();
        let search = String::from_utf8(search).unwrap();
        let search = search.split('\0').find_map(|variable| variable.strip_prefix("PATH=")).unwrap().to_owned();
        // The mount namespace is its own: one process stays in it meanwhile.
        let mut keeper = Command::new("nsenter")
            .arg("--mount")
            .arg("--target")
            .arg(self.daemon.id().to_string())
            .args(["--", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let entered = || {
            let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
            namespace(keeper.id()) == namespace(self.daemon.id())
        };
        assert!(wait_for(PATIENCE, entered));
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
        let log = log(self.folder.path());
        self.daemon = Command::new("nsenter")
            .arg("--mount")
            .arg("--target")
            .arg(keeper.id().to_string())
            .args(["--", "containerd", "-c"])
            .arg(self.folder.path().join("config.toml"))
            .env("PATH", search)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.wait_ready();
        keeper.kill().unwrap();
        keeper.wait().unwrap();
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// `ctr` in the daemon's mount namespace.
    fn ctr(&self, args: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.arg("--mount").arg("--target").arg(self.daemon.id().to_string()).arg("--");
        command.arg(&self.ctr).arg("--address").arg(self.folder.path().join("socket"));
        command.args(args).stdin(Stdio::null()).output().unwrap()
    }

    fn ctr_ok(&self, args: &[&str]) -> String {
        let out = self.ctr(args);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "ctr {args:?}: {said}\n{}", self.log());
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn ok(&self, args: &[&str]) -> String {
        self.crictl.ok(args).unwrap_or_else(|error| panic!("{error:#}\n{}", self.log()))
    }

    fn import(&self) {
        let layers = busybox_layers([Compression::Gzip; 3]).unwrap();
        for (name, config) in [(IMAGE, json!({ "Cmd": ["sh"] })), (PAUSE, json!({ "Cmd": ["/bin/sleep", "100000"] }))] {
            let archive = self.folder.path().join("image.tar");
            Image::new(Kind::Oci, &layers, &config).unwrap().write_oci_archive(&archive, name).unwrap();
            self.ctr_ok(&[
                "--namespace",
                "k8s.io",
                "images",
                "import",
                "--snapshotter",
                "native",
                archive.to_str().unwrap(),
            ]);
        }
    }

    /// A pod on the node's network, by our runtime; its id and its configuration.
    fn pod(&self, name: &str) -> (String, String) {
        let config = self.file(
            &format!("{name}.json"),
            &json!({
                "metadata": { "name": name, "uid": name, "namespace": "tests", "attempt": 1 },
                "log_directory": self.folder.path().join("logs"),
                "linux": {
                    "cgroup_parent": self.cgroup,
                    "security_context": { "namespace_options": { "network": 2 } },
                },
            }),
        );
        (self.ok(&["runp", "--runtime", "wharf", &config]), config)
    }

    fn run(&self, pod: &(String, String), name: &str, script: &str) -> String {
        let config = self.file(
            &format!("container-{name}.json"),
            &json!({
                "metadata": { "name": name, "attempt": 1 },
                "image": { "image": IMAGE },
                "command": ["sh", "-c", script],
                "log_path": format!("{name}.log"),
                "linux": { "resources": { "memory_limit_in_bytes": 104_857_600 } },
            }),
        );
        let id = self.ok(&["create", &pod.0, &config, &pod.1]);
        self.ok(&["start", &id]);
        id
    }

    fn file(&self, name: &str, content: &Value) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, content.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn status(&self, id: &str) -> Value {
        let text = self.ok(&["inspect", id]);
        serde_json::from_str::<Value>(&text).unwrap()["status"].clone()
    }

    /// Waits for a container's end; its exit code.
    fn exit_code(&self, id: &str) -> i64 {
        let ended = || self.status(id)["state"] == "CONTAINER_EXITED";
        assert!(wait_for(PATIENCE, ended), "{:#}\n{}", self.status(id), self.log());
        self.status(id)["exitCode"].as_i64().unwrap_or(0)
    }

    /// Our shims that it has started.
    fn shims(&self) -> Vec<Process> {
        let state = self.folder.path().join("state").display().to_string();
        let ours = |process: &Process| {
            process.command.starts_with("containerd-shim-wharf-v1") && process.command.contains(&state)
        };
        processes().into_iter().filter(ours).collect()
    }

    /// Nothing of what it ran is left, once all was removed.
    fn finish(mut self) {
        let gone = || self.shims().is_empty();
        assert!(wait_for(PATIENCE, gone), "shims are left: {:?}\n{}", self.shims(), self.log());
        let state = self.folder.path().join("state/io.containerd.runtime.v2.task");
        for namespace in fs::read_dir(&state).into_iter().flatten().flatten() {
            assert_eq!(fs::read_dir(namespace.path()).unwrap().count(), 0, "bundles are left");
        }
        kill(Pid::from_raw(self.daemon.id().cast_signed()), Signal::SIGTERM).unwrap();
        self.daemon.wait().unwrap();
        let folder = self.folder.path().display().to_string();
        let left: Vec<_> = processes().into_iter().filter(|process| process.command.contains(&folder)).collect();
        assert!(left.is_empty(), "{left:?}");
        for group in cgroups(&self.cgroup) {
            // The pods' parent is the caller's to remove; there is nothing below it.
            fs::remove_dir(&group).unwrap_or_else(|error| panic!("{}: {error}", group.display()));
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for shim in self.shims() {
            let _ = kill(Pid::from_raw(shim.pid), Signal::SIGKILL);
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        // After a failure there may be something in them.
        for group in cgroups(&self.cgroup) {
            end(&group);
        }
    }
}

fn end(group: &Path) {
    for inside in fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        end(&inside.path());
    }
    let members = || fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    wait_for(PATIENCE, || {
        for pid in members().lines().filter_map(|line| line.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        members().is_empty()
    });
    let _ = fs::remove_dir(group);
}

/// `/run/containerd`, where containerd's own sockets are whatever the configuration says, is a file system of its own.
fn launch(folder: &Path, search: &str) -> Child {
    let log = log(folder);
    let script = "mkdir -p /run/containerd && mount -t tmpfs none /run/containerd && exec containerd -c \"$0\"";
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(folder.join("config.toml"))
        .env("PATH", search)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap()
}

fn log(folder: &Path) -> fs::File {
    fs::File::options().append(true).create(true).open(folder.join("log")).unwrap()
}

fn cgroups(path: &str) -> Vec<PathBuf> {
    let path = path.trim_start_matches('/');
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let all = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]);
    all.map(|hierarchy| hierarchy.join(path)).filter(|group| group.is_dir()).collect()
}

#[test]
fn ctr_runs_containers_with_our_shim() {
    let Some(containerd) = Containerd::start() else { return };
    containerd.import();
    let group = format!("{}/ctr", containerd.cgroup);
    let run = |flags: &[&str], id: &str, script: &str| {
        let mut args = vec!["--namespace", "k8s.io", "run", "--runtime", RUNTIME, "--snapshotter", "native"];
        args.extend(["--cgroup", &group]);
        args.extend(flags);
        args.extend([IMAGE, id, "sh", "-c", script]);
        containerd.ctr(&args)
    };
    let out = run(&["--rm"], "one", "echo from inside; exit 3");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}\n{}", containerd.log());
    assert_eq!(String::from_utf8_lossy(&out.stdout), "from inside\n");

    let out = run(&["--detach"], "two", "exec sleep 1000");
    assert!(out.status.success(), "{}\n{}", String::from_utf8_lossy(&out.stderr), containerd.log());
    let tasks = |args: &[&str]| {
        let mut all = vec!["--namespace", "k8s.io", "tasks"];
        all.extend(args);
        containerd.ctr(&all)
    };
    let listed = || String::from_utf8_lossy(&tasks(&["ls"]).stdout).into_owned();
    assert!(listed().contains("RUNNING"), "{}", listed());
    let out = tasks(&["exec", "--exec-id", "e", "two", "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; exit 5"]);
    assert_eq!((String::from_utf8_lossy(&out.stdout).as_ref(), out.status.code()), ("sleep 1000 ", Some(5)));
    assert!(tasks(&["pause", "two"]).status.success());
    assert!(listed().contains("PAUSED"), "{}", listed());
    assert!(tasks(&["resume", "two"]).status.success());
    let metrics = String::from_utf8_lossy(&tasks(&["metrics", "two"]).stdout).into_owned();
    assert!(metrics.contains("memory.usage_in_bytes"), "{metrics}");
    assert!(tasks(&["kill", "--signal", "9", "two"]).status.success());
    assert!(wait_for(PATIENCE, || listed().contains("STOPPED")), "{}", containerd.log());
    let out = tasks(&["delete", "two"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("exit with non-zero exit code 137"), "{out:?}");
    containerd.ctr_ok(&["--namespace", "k8s.io", "containers", "delete", "two"]);

    let out = run(&["--rm"], "bad", "true");
    assert!(out.status.success(), "a name is free again: {out:?}");
    containerd.finish();
}

#[test]
fn pods_of_containerds_cri_run_with_our_shim() {
    let Some(mut containerd) = Containerd::start() else { return };
    containerd.import();
    let pod = containerd.pod("web");
    let script = "echo out; echo err >&2; while [ ! -e /end ]; do sleep 0.05; done; exit 7";
    let id = containerd.run(&pod, "main", script);
    let second = containerd.run(&pod, "second", "exec sleep 1000");
    assert_eq!(
        containerd.shims().len(),
        1,
        "one for the pod, its pause container among them: {:?}",
        containerd.shims()
    );
    assert_eq!(containerd.ok(&["exec", "-s", &id, "sh", "-c", "echo in there"]), "in there");
    assert_eq!(containerd.ok(&["exec", &id, "sh", "-c", "echo streamed"]), "streamed");
    assert!(containerd.crictl.fails(&["exec", "-s", &id, "sh", "-c", "exit 9"]).unwrap().contains('9'));
    let stats = containerd.crictl.json(&["stats", "--id", &second]).unwrap();
    assert!(stats["stats"][0]["memory"]["workingSetBytes"]["value"].is_string(), "{stats:#}");
    let namespace = |id: &str| {
        let inspected = containerd.crictl.json(&["inspect", id]).unwrap();
        fs::read_link(format!("/proc/{}/ns/ipc", inspected["info"]["pid"])).unwrap()
    };
    assert_eq!(namespace(&id), namespace(&second), "both are in the pause container's");

    containerd.restart();
    assert_eq!(containerd.ok(&["exec", "-s", &id, "sh", "-c", "echo still here"]), "still here");
    // It may end the container before it has ended itself.
    let _ = containerd.crictl.run(&["exec", "-s", &id, "touch", "/end"]);
    assert_eq!(containerd.exit_code(&id), 7);
    let log = containerd.crictl.run(&["logs", &id]).unwrap();
    assert_eq!((log.stdout.as_str(), log.stderr.as_str()), ("out\n", "err\n"));
    containerd.ok(&["stop", "--timeout", "0", &second]);
    assert_eq!(containerd.exit_code(&second), 137);
    containerd.ok(&["rm", &id]);
    containerd.ok(&["stopp", &pod.0]);
    containerd.ok(&["rmp", &pod.0]);
    containerd.finish();
}

#[test]
fn containerd_cleans_up_after_our_shim_was_killed() {
    let Some(containerd) = Containerd::start() else { return };
    containerd.import();
    let pod = containerd.pod("lost");
    let id = containerd.run(&pod, "main", "exec sleep 1000");
    for shim in containerd.shims() {
        kill(Pid::from_raw(shim.pid), Signal::SIGKILL).unwrap();
    }
    containerd.exit_code(&id);
    containerd.ok(&["stopp", &pod.0]);
    containerd.ok(&["rmp", "-f", &pod.0]);
    containerd.finish();
}
