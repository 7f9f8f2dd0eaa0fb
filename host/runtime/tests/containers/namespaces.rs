use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::json;
use wharf_runtime::{
    CgroupJoin, ExecRequest, PodNamespaces, PodNamespacesRequest, SharedMemory, create_pod_namespaces, open_namespace,
    pin_netns, unpin_netns,
};

use crate::support::{Sandbox, pipes, process, push};

const KINDS: [&str; 6] = ["pid", "mnt", "net", "ipc", "uts", "cgroup"];

fn links(script: &str) -> String {
    KINDS.iter().map(|kind| format!("{script}/{kind};")).collect()
}

#[test]
fn namespaces_are_its_own_or_the_caller_s_as_listed() {
    let ours: Vec<String> = KINDS
        .iter()
        .map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_string_lossy().into_owned())
        .collect();
    let theirs = Sandbox::new().sh(&links("readlink /proc/self/ns")).ok();
    for (ours, theirs) in ours.iter().zip(theirs.lines()) {
        assert_ne!(ours, theirs);
    }
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sh", "-c", &links("readlink /proc/self/ns")]);
    spec["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    spec["hostname"] = json!(null);
    // Without a network namespace of its own a container that is in the host's sees the host's sysfs.
    let theirs = sandbox.run(&spec).ok();
    for ((kind, ours), theirs) in KINDS.iter().zip(&ours).zip(theirs.lines()) {
        assert_eq!(*kind != "mnt", ours == theirs, "{kind}");
    }
}

#[test]
fn the_first_process_is_number_one_and_its_loopback_is_up() {
    let output = Sandbox::new().sh("echo $$; ls /proc | grep -c '^[0-9]'; ip -o addr show lo").ok();
    let mut lines = output.lines();
    assert_eq!(lines.next(), Some("1"));
    assert!(lines.next().unwrap().parse::<u32>().unwrap() <= 4);
    assert!(lines.next().unwrap().contains("127.0.0.1/8"), "{output}");
}

#[test]
fn a_pod_shares_what_it_has() {
    let request = PodNamespacesRequest {
        hostname: Some("pod-name".into()),
        net: true,
        ipc: true,
        uts: true,
        user: None,
        sysctls: BTreeMap::from([
            ("net.ipv4.ip_unprivileged_port_start".into(), "0".into()),
            ("kernel.shm_rmid_forced".into(), "1".into()),
        ]),
    };
    let pod = create_pod_namespaces(&request).unwrap();
    let script = "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; hostname; \
        cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced; ip -o link show lo";
    let run = || {
        let sandbox = Sandbox::new();
        let (stdio, pipes) = pipes();
        let mut spec = sandbox.spec(&["sh", "-c", script]);
        spec["hostname"] = json!(null);
        let container = sandbox.create_in(&spec, stdio, &pod, None).unwrap();
        container.start().unwrap();
        pipes.wait(container.pidfd()).ok()
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second);
    let lines: Vec<_> = first.lines().collect();
    assert_eq!(lines[2..5], ["pod-name", "0", "1"]);
    assert!(lines[5].contains("LOOPBACK,UP"), "{first}");
    assert_ne!(lines[0], fs::read_link("/proc/self/ns/net").unwrap().to_string_lossy());
    assert_eq!(fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").unwrap().trim(), "0", "the host's is as it was");
}

#[test]
fn memory_files_are_the_pod_s_where_its_ipc_namespace_is() {
    let mut pod =
        create_pod_namespaces(&PodNamespacesRequest { ipc: true, ..PodNamespacesRequest::default() }).unwrap();
    pod.shared_memory = Some(Arc::new(SharedMemory::new(1 << 20, None).unwrap()));
    let run = |script: &str, ipc: bool| {
        let sandbox = Sandbox::new();
        let (stdio, pipes) = pipes();
        let mut spec = sandbox.spec(&["sh", "-c", script]);
        let shm = json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] });
        push(&mut spec["mounts"], shm);
        if !ipc {
            spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "ipc");
        }
        let container = sandbox.create_in(&spec, stdio, &pod, None).unwrap();
        container.start().unwrap();
        pipes.wait(container.pidfd()).ok()
    };
    run("echo of the first > /dev/shm/left", true);
    let seen = run("cat /dev/shm/left; stat -c %a /dev/shm; grep ' /dev/shm ' /proc/mounts", true);
    assert!(seen.starts_with("of the first\n1777\n"), "{seen}");
    assert!(seen.contains("nosuid,nodev,noexec") && seen.contains("size=1024k"), "{seen}");
    assert_eq!(run("ls /dev/shm", false), "", "one of its own");
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains("size=1024k"), "nothing on the host");
}

#[test]
fn a_pid_namespace_is_shared() {
    let first = Sandbox::new();
    let sleeper = first.sleeper();
    let pid = open_namespace(Path::new(&format!("/proc/{}/ns/pid", sleeper.container.pid()))).unwrap();
    let pod = PodNamespaces { pid: Some(pid), ..PodNamespaces::default() };
    let second = Sandbox::new();
    let (stdio, pipes) = pipes();
    let spec = second.spec(&["sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; echo; echo $$ $PPID"]);
    let container = second.create_in(&spec, stdio, &pod, None).unwrap();
    container.start().unwrap();
    let output = pipes.wait(container.pidfd()).ok();
    let mut lines = output.lines();
    assert_eq!(lines.next(), Some("sleep 1000 "));
    let (pid, parent) = lines.next().unwrap().split_once(' ').unwrap();
    assert!(pid.parse::<u32>().unwrap() > 1);
    assert_eq!(parent, "0", "its parent is the caller, outside");
}

#[test]
fn a_path_in_the_specification_wins() {
    let request = PodNamespacesRequest { net: true, ..PodNamespacesRequest::default() };
    let pod = create_pod_namespaces(&request).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netns/pinned");
    pin_netns(pod.net.as_ref().unwrap().as_fd(), &path).unwrap();
    let again = pin_netns(pod.net.as_ref().unwrap().as_fd(), &path).unwrap_err();
    assert_eq!(again.kind(), wharf_error::Kind::AlreadyExists);
    drop(pod);

    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sh", "-c", "readlink /proc/self/ns/net"]);
    spec["linux"]["namespaces"][4]["path"] = json!(path);
    let first = sandbox.run(&spec).ok();
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap());
    assert_eq!(first, format!("net:[{inode}]"));

    unpin_netns(&path).unwrap();
    assert!(!path.exists());
    unpin_netns(&path).unwrap();
    spec["linux"]["namespaces"][4]["path"] = json!("/etc/passwd");
    assert!(sandbox.refusal(&spec).to_string().contains("it is no namespace"));
}

#[test]
fn settings_of_the_machine_and_lost_namespaces_are_refused() {
    let request = PodNamespacesRequest {
        net: true,
        sysctls: BTreeMap::from([("kernel.core_pattern".into(), "|/evil".into())]),
        ..PodNamespacesRequest::default()
    };
    assert!(create_pod_namespaces(&request).unwrap_err().to_string().contains("core_pattern"));
    let request = PodNamespacesRequest {
        ipc: true,
        sysctls: BTreeMap::from([("net.ipv4.ip_forward".into(), "1".into())]),
        ..PodNamespacesRequest::default()
    };
    assert!(create_pod_namespaces(&request).unwrap_err().to_string().contains("network namespace"));
    let request = PodNamespacesRequest {
        net: true,
        sysctls: BTreeMap::from([("net.no.such".into(), "1".into())]),
        ..PodNamespacesRequest::default()
    };
    let error = create_pod_namespaces(&request).unwrap_err().to_string();
    assert!(error.contains("sysctl net.no.such=1: No such file"), "{error}");
    let nothing = create_pod_namespaces(&PodNamespacesRequest::default()).unwrap();
    assert!(nothing.net.is_none() && nothing.ipc.is_none() && nothing.uts.is_none());
}

#[test]
fn sysctls_of_a_container() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["cat", "/proc/sys/net/ipv4/ping_group_range", "/proc/sys/fs/mqueue/msg_max"]);
    spec["linux"]["sysctl"] = json!({ "net.ipv4.ping_group_range": "0 77", "fs.mqueue.msg_max": "11" });
    assert_eq!(sandbox.run(&spec).ok(), "0\t77\n11");
    spec["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "pid" }]);
    spec["hostname"] = json!(null);
    assert!(sandbox.refusal(&spec).to_string().contains("namespace that is not the host's"));
}

/// A cgroup of our own in a v1 hierarchy, and in the v2 one beside it.
struct Cgroup {
    folders: Vec<PathBuf>,
}

impl Cgroup {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wharf-runtime-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folders = ["pids", "unified", ""].map(|of| Path::new("/sys/fs/cgroup").join(of)).into_iter();
        let folders = folders.filter(|of| of.join("cgroup.procs").exists()).map(|of| of.join(&name)).collect();
        let cgroup = Self { folders };
        assert!(!cgroup.folders.is_empty(), "this machine has no cgroups");
        cgroup.folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        cgroup
    }

    fn join(&self) -> CgroupJoin {
        let files = self.folders.iter().map(|folder| {
            let tasks = File::options().write(true).open(folder.join("tasks"));
            OwnedFd::from(tasks.or_else(|_| File::open(folder)).unwrap())
        });
        CgroupJoin::from_files(files).unwrap()
    }

    fn processes(&self) -> Vec<String> {
        let read = |folder: &PathBuf| fs::read_to_string(folder.join("cgroup.procs")).unwrap();
        self.folders.iter().map(|folder| read(folder).trim().replace('\n', " ")).collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            fs::remove_dir(folder).unwrap();
        }
    }
}

#[test]
fn the_cgroup_is_joined_first_and_seen_as_the_root() {
    let cgroup = Cgroup::new();
    let sandbox = Sandbox::new();
    let (stdio, pipes) = pipes();
    let script = "grep -E 'pids:|^0::' /proc/self/cgroup; for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do \
        test -d $d && mkdir $d/x; done; \
        cat /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs 2>/dev/null | sort -u | head -3";
    let spec = sandbox.spec(&["sh", "-c", script]);
    let container = sandbox.create_in(&spec, stdio, &PodNamespaces::default(), Some(cgroup.join())).unwrap();
    let pid = container.pid().to_string();
    assert!(cgroup.processes().iter().all(|inside| *inside == pid), "{:?}", cgroup.processes());
    container.start().unwrap();
    let output = pipes.wait(container.pidfd());
    let roots: Vec<_> = output.stdout.lines().filter(|line| line.contains(':')).collect();
    assert_eq!(roots.len(), cgroup.folders.len(), "{output:?}");
    assert!(roots.iter().all(|line| line.ends_with(":/")), "{output:?}");
    assert!(output.stdout.lines().any(|line| line == "1"), "it sees itself in its cgroup: {output:?}");
    let refused = output.stderr.lines().filter(|line| line.ends_with("Read-only file system")).count();
    assert_eq!(refused, output.stderr.lines().count(), "{output:?}");
    assert!(refused > 0);
}

#[test]
fn a_further_process_joins_the_cgroup_too() {
    let cgroup = Cgroup::new();
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper();
    let process = serde_json::from_value(process(&["sleep", "1000"])).unwrap();
    let (stdio, pipes) = pipes();
    let request = ExecRequest { process: &process, stdio, cgroup: Some(cgroup.join()) };
    let process = sleeper.container.exec(request).unwrap();
    let pid = process.pid().to_string();
    assert!(cgroup.processes().iter().all(|inside| *inside == pid), "{:?}", cgroup.processes());
    process.kill(libc::SIGKILL).unwrap();
    pipes.wait(process.pidfd());
}

#[test]
fn without_a_cgroup_namespace_only_the_own_cgroup_is_seen() {
    let cgroup = Cgroup::new();
    let sandbox = Sandbox::new();
    let (stdio, pipes) = pipes();
    // Of the hierarchies that it joins: of others it sees what is the machine's.
    let script = "cd /sys/fs/cgroup; readlink /proc/self/ns/cgroup; ls -d wharf-* pids/wharf-* unified/wharf-*";
    let mut spec = sandbox.spec(&["sh", "-c", script]);
    spec["linux"]["namespaces"].as_array_mut().unwrap().pop();
    let container = sandbox.create_in(&spec, stdio, &PodNamespaces::default(), Some(cgroup.join())).unwrap();
    container.start().unwrap();
    let output = pipes.wait(container.pidfd());
    let ours = fs::read_link("/proc/self/ns/cgroup").unwrap();
    assert_eq!(output.stdout.trim(), ours.to_string_lossy(), "{output:?}");
}
