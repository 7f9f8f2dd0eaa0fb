//! Control groups by systemd: in the guest whose first process it is. Elsewhere the daemon says that it is not.

mod ends;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use serde_json::{Value, json};
use wharf_api::cri::{CgroupDriver, LinuxContainerResources, RuntimeConfigRequest, UpdatePodSandboxResourcesRequest};
use wharf_e2e::{Cri, Node, Pod};
use wharf_testkit::{Daemon, DaemonOptions, need, root, unpacked_package, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
const CGROUPS: &str = "/sys/fs/cgroup";

/// There is one systemd for all tests: while it executes itself anew nobody else can speak to it.
static SYSTEMD: RwLock<()> = RwLock::new(());

#[test]
fn a_pod_in_a_kubelets_slice_is_a_scope_of_systemds() {
    let _systemd = beside_others();
    let Some(mut node) = node() else { return };
    let slice = Slice::write(&node, "pod1_2");
    let pod = node.pod_with("web", |p| p["linux"] = json!({ "cgroup_parent": slice.path() }));
    let id = node.run_with(&pod, "main", "exec sleep 1000", |c| {
        c["linux"] = json!({ "resources": {
            "memory_limit_in_bytes": 64 << 20, "cpu_quota": 50_000, "cpu_period": 100_000, "cpu_shares": 512,
        } });
    });
    let unit = unit_of(&pod);
    for (property, value) in [
        ("ActiveState", "active"),
        ("Slice", slice.name.as_str()),
        ("ControlGroup", &format!("{}/{unit}", slice.path())),
        ("Delegate", "yes"),
        ("TasksMax", "infinity"),
        ("Description", "Pod tests/web of Wharf"),
    ] {
        assert_eq!(show(&unit, property), value, "{property}");
    }
    let own = format!("{}/{unit}/{id}", slice.path());
    assert_eq!(cgroup_of(node.pid(&id)), own);
    let limits = |memory: &str| {
        let read = |file: &str| fs::read_to_string(format!("{CGROUPS}{own}/{file}")).unwrap().trim().to_owned();
        assert_eq!(read("memory.max"), memory);
        assert_eq!(read("cpu.max"), "50000 100000");
        assert_eq!(node.exec(&id, "cat /sys/fs/cgroup/memory.max").trim(), memory, "of further processes too");
    };
    limits("67108864");
    systemctl(&["daemon-reload"]);
    limits("67108864");
    node.ok(&["update", "--memory", "104857600", &id]);
    systemctl(&["daemon-reload"]);
    limits("104857600");
    assert_eq!(show(&slice.name, "MemoryMax"), "536870912", "and the kubelet's own stays");

    // What one container is killed for is not the pod's end.
    let (_, code) = node.outcome(&pod, "hungry", "tail /dev/zero", |c| {
        c["linux"] =
            json!({ "resources": { "memory_limit_in_bytes": 16 << 20, "memory_swap_limit_in_bytes": 16 << 20 } });
    });
    assert_eq!(code, 137);
    assert_eq!(
        (show(&unit, "ActiveState"), node.status(&id)["state"].clone()),
        ("active".into(), json!("CONTAINER_RUNNING"))
    );

    // What keeps the scope is root's, and can do nothing.
    let holder = procs(Path::new(&format!("{CGROUPS}{}/{unit}/{}", slice.path(), pod.id))).trim().to_owned();
    let status = fs::read_to_string(format!("/proc/{holder}/status")).unwrap();
    for line in ["Name:\twharf-init", "Uid:\t0\t0\t0\t0", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line}: {status}");
    }

    node.daemon.kill().unwrap();
    assert_eq!(show(&unit, "ActiveState"), "active");
    node.daemon.launch().unwrap();
    node.exec(&id, "true");
    assert_eq!(node.outcome(&pod, "later", "echo again", |_| {}), ("again\n".into(), 0));

    let said =
        node.fails(&["runp", &node.pod_config("path", |p| p["linux"] = json!({ "cgroup_parent": "/kubepods/podx" }))]);
    assert!(said.contains("/kubepods/podx") && said.contains("cgroupDriver"), "{said}");
    assert!(info(&node).contains("systemd"), "{}", info(&node));
    let cri = Cri::new(&node.daemon.socket());
    let mut client = cri.runtime();
    let config = cri.wait(client.runtime_config(RuntimeConfigRequest {})).unwrap().into_inner();
    assert_eq!(config.linux.unwrap().cgroup_driver(), CgroupDriver::Systemd);

    node.ok(&["stopp", &pod.id]);
    gone(&unit);
    node.ok(&["rmp", &pod.id]);
    assert_eq!(show(&slice.name, "ActiveState"), "active", "it is the kubelet's to remove");
    drop(slice);
    finish(node);
}

#[test]
fn a_pod_of_nobodys_is_in_our_slice_which_goes_with_it() {
    let _systemd = beside_others();
    let Some(node) = node() else { return };
    let ours = node.daemon.cgroup_parent().trim_start_matches('/').to_owned();
    let pod = node.pod("own");
    let unit = unit_of(&pod);
    assert_eq!((show(&unit, "Slice"), show(&ours, "ActiveState")), (ours.clone(), "active".into()));
    let cri = Cri::new(&node.daemon.socket());
    let (mut client, pod_sandbox_id) = (cri.runtime(), pod.id.clone());
    let resources = Some(LinuxContainerResources {
        memory_limit_in_bytes: 200 << 20,
        cpu_shares: 1024,
        cpu_quota: 150_000,
        cpu_period: 100_000,
        ..Default::default()
    });
    let asked = UpdatePodSandboxResourcesRequest { pod_sandbox_id, resources, overhead: None };
    cri.wait(async move { client.update_pod_sandbox_resources(asked).await }).unwrap();
    for reloaded in [false, true] {
        if reloaded {
            systemctl(&["daemon-reload"]);
        }
        let read =
            |file: &str| fs::read_to_string(format!("{CGROUPS}/{ours}/{unit}/{file}")).unwrap().trim().to_owned();
        assert_eq!((show(&unit, "MemoryMax"), read("memory.max")), ("209715200".into(), "209715200".into()));
        assert_eq!((show(&unit, "CPUWeight"), read("cpu.weight")), ("100".into(), "100".into()));
        assert_eq!((show(&unit, "CPUQuotaPerSecUSec"), read("cpu.max")), ("1.500000s".into(), "150000 100000".into()));
    }

    // Containers that share their processes, whose first is the pod's own.
    let shared = node.pod_with("shared", |p| {
        p["linux"] = json!({ "security_context": { "namespace_options": { "pid": 0, "network": 0, "ipc": 0 } } });
    });
    let id = node.run(&shared, "main", "exec sleep 1000");
    let first =
        fs::read_to_string(format!("{CGROUPS}/{ours}/{}/{}/cgroup.procs", unit_of(&shared), shared.id)).unwrap();
    assert_eq!(cgroup_of(first.trim().parse().unwrap()), format!("/{ours}/{}/{}", unit_of(&shared), shared.id));
    assert!(node.exec(&id, "ps").contains("wharf-init"));

    for pod in [&pod, &shared] {
        node.ok(&["rmp", "-f", &pod.id]);
    }
    gone(&unit);
    assert_eq!(show(&ours, "ActiveState"), "inactive");
    assert!(!Path::new(&format!("{CGROUPS}/{ours}")).exists());
    finish(node);
}

#[test]
fn pods_that_were_made_without_systemd_are_removed_with_it() {
    let _systemd = beside_others();
    if node().map(finish).is_none() {
        return;
    }
    let Some(mut node) = Node::with(DaemonOptions::default()) else { return };
    let pod = node.pod("before");
    let group = PathBuf::from(format!("{CGROUPS}{}", node.daemon.cgroup_parent()));
    assert!(group.join(&pod.id).is_dir());
    node.daemon.kill().unwrap();
    let text = fs::read_to_string(node.daemon.config()).unwrap();
    let slice = format!("{}.slice", node.daemon.cgroup_parent().trim_start_matches('/').replace('-', "_"));
    let text = text.replace("\"cgroupfs\"", "\"systemd\"").replace(node.daemon.cgroup_parent(), &slice);
    fs::write(node.daemon.config(), text).unwrap();
    node.daemon.launch().unwrap();
    let after = node.pod("after");
    assert_eq!(show(&unit_of(&after), "Slice"), slice);
    for pod in [&pod, &after] {
        node.ok(&["rmp", "-f", &pod.id]);
    }
    assert!(!group.exists(), "{}", group.display());
    finish(node);
}

#[test]
fn containers_of_another_runtime_are_in_the_scope_too() {
    let _systemd = beside_others();
    if !booted() {
        return;
    }
    let Some(runc) = need(unpacked_package("runc")) else { return };
    let config = format!("[runtimes.other]\ntype = \"oci\"\npath = {:?}\n", runc.join("usr/sbin/runc"));
    let Some(node) = node_with(&config) else { return };
    let config = node.pod_config("other", |_| {});
    let logs = node.daemon.scratch().join("test/logs/other");
    let pod = Pod { id: node.ok(&["runp", "--runtime", "other", &config]), config, logs };
    let id = node.run(&pod, "main", "exec sleep 1000");
    let slice = node.daemon.cgroup_parent().trim_start_matches('/');
    assert_eq!(cgroup_of(node.pid(&id)), format!("/{slice}/{}/{id}", unit_of(&pod)));
    node.ok(&["rmp", "-f", &pod.id]);
    gone(&unit_of(&pod));
    finish(node);
}

#[test]
fn where_systemd_is_not_first_the_daemon_does_not_start_and_says_what_to_do() {
    if booted() {
        return;
    }
    let Some(()) = need(root()) else { return };
    let options = DaemonOptions { name: "no-systemd".into(), systemd: true, ..DaemonOptions::default() };
    let Err(error) = Daemon::start(&options) else { panic!("it starts without systemd") };
    let error = format!("{error:#}");
    for word in ["cri.cgroup_driver", "/run/systemd/system", "cgroupfs", "cgroupDriver"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

/// A slice that somebody has written, as a kubelet does for a pod. Removed on drop, with those above it.
struct Slice {
    /// The outermost first.
    above: [String; 2],
    name: String,
}

impl Slice {
    fn write(node: &Node, pod: &str) -> Self {
        let outer = node.daemon.cgroup_parent().trim_start_matches('/').trim_end_matches(".slice").to_owned();
        let name = format!("{outer}-burstable-{pod}.slice");
        let slice = Self { above: [format!("{outer}.slice"), format!("{outer}-burstable.slice")], name };
        fs::write(slice.file(), "[Slice]\nMemoryMax=512M\n").unwrap();
        systemctl(&["daemon-reload"]);
        systemctl(&["start", &slice.name]);
        slice
    }

    fn path(&self) -> String {
        format!("/{}/{}/{}", self.above[0], self.above[1], self.name)
    }

    fn file(&self) -> PathBuf {
        Path::new("/run/systemd/system").join(&self.name)
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        for unit in [&self.name, &self.above[1], &self.above[0]] {
            let _ = Command::new("systemctl").args(["stop", unit]).status();
        }
        let _ = fs::remove_file(self.file());
        let _ = Command::new("systemctl").arg("daemon-reload").status();
    }
}

/// Held by a test that needs systemd as it is.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    SYSTEMD.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that takes systemd away.
fn alone() -> RwLockWriteGuard<'static, ()> {
    SYSTEMD.write().unwrap_or_else(PoisonError::into_inner)
}

fn booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A node whose cgroups systemd makes; none where it is not the first process.
fn node() -> Option<Node> {
    if !booted() || !Path::new(CGROUPS).join("cgroup.controllers").exists() {
        eprintln!("skipped: systemd is not the first process here, or this node has no cgroup v2 alone");
        return None;
    }
    node_with("")
}

fn node_with(config: &str) -> Option<Node> {
    let node = Node::with(DaemonOptions { systemd: true, config: config.into(), ..DaemonOptions::default() })?;
    node.ok(&["pull", &Node::image()]);
    Some(node)
}

fn finish(node: Node) {
    let failed = systemctl(&["list-units", "--failed", "--plain", "--no-legend"]);
    assert!(!failed.contains("wharf"), "{failed}");
    node.finish();
}

/// The unit of a pod.
fn unit_of(pod: &Pod) -> String {
    format!("wharf-{}.scope", &pod.id[..32])
}

/// The cgroups in one.
fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The processes of a cgroup itself.
fn procs(dir: &Path) -> String {
    fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default()
}

/// The cgroup of a process, of v2.
fn cgroup_of(pid: i64) -> String {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    table.trim().strip_prefix("0::").unwrap().to_owned()
}

fn systemctl(arguments: &[&str]) -> String {
    let out = Command::new("systemctl").args(arguments).output().unwrap();
    assert!(out.status.success(), "systemctl {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn show(unit: &str, property: &str) -> String {
    systemctl(&["show", "--value", "-p", property, unit]).trim().to_owned()
}

fn gone(unit: &str) {
    assert!(wait_for(PATIENCE, || show(unit, "LoadState") == "not-found"), "{unit}: {}", show(unit, "ActiveState"));
}

/// What `wharf info` says of the driver.
fn info(node: &Node) -> String {
    let out = node.daemon.wharf(&["info", "--json"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let all: Value = serde_json::from_slice(&out.stdout).unwrap();
    let text = all.to_string();
    let at = text.find("cgroup driver").unwrap_or_else(|| panic!("no driver in {all:#}"));
    text[at..].chars().take(60).collect()
}
