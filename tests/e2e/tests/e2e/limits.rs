use std::{fs, path::PathBuf};

use serde_json::json;
use wharf_e2e::Node;
use wharf_testkit::{need, wait_for};

/// The file of a container's cgroup: `v1` in the hierarchy of this controller, else `v2`.
fn cgroup_file(pid: i64, controller: &str, v1: &str, v2: &str) -> anyhow::Result<String> {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    for line in table.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next(), fields.next().unwrap_or_default(), fields.next().unwrap_or("/"));
        if controllers.split(',').any(|c| c == controller) {
            let dir = PathBuf::from("/sys/fs/cgroup").join(controller).join(path.trim_start_matches('/'));
            return Ok(fs::read_to_string(dir.join(v1))?.trim().to_owned());
        }
    }
    let path = table.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let dir = PathBuf::from("/sys/fs/cgroup").join(path);
    fs::read_to_string(dir.join(v2))
        .map(|text| text.trim().to_owned())
        .map_err(|e| anyhow::anyhow!("no controller {controller} here: {e}"))
}

#[test]
fn limits_are_in_the_containers_cgroup() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("limits");
    let id = node.run_with(&pod, "main", "exec sleep 1000", |c| {
        c["linux"] = json!({ "resources": {
            "memory_limit_in_bytes": 64 << 20, "cpu_quota": 50_000, "cpu_period": 100_000, "cpu_shares": 512, "cpuset_cpus": "0",
        } });
    });
    let pid = node.pid(&id);
    let file = |controller, v1, v2| need(cgroup_file(pid, controller, v1, v2));
    if let Some(value) = file("memory", "memory.limit_in_bytes", "memory.max") {
        assert_eq!(value, (64 << 20).to_string());
    }
    if let Some(value) = file("cpu", "cpu.cfs_quota_us", "cpu.max") {
        assert_eq!(value.split(' ').next(), Some("50000"));
    }
    if let Some(value) = file("cpuset", "cpuset.cpus", "cpuset.cpus") {
        assert_eq!(value, "0");
    }
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let parent = node.daemon.cgroup_parent();
    assert!(table.lines().any(|l| l.contains(parent)), "below {parent}: {table}");
    node.finish();
}

#[test]
fn a_command_runs_in_a_container_that_has_cgroups_of_its_own() {
    if !fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap() {
        eprintln!("skipped: this node has no cgroup v2 alone");
        return;
    }
    let Some(node) = Node::start() else { return };
    let privileged = json!({ "security_context": { "privileged": true } });
    let pod = node.pod_with("nested", |p| p["linux"] = privileged.clone());
    // As systemd and nested runtimes do: v2 lets no process into a cgroup that hands controllers on.
    let script = "cd /sys/fs/cgroup && mkdir init && echo 1 > init/cgroup.procs && \
                  echo +memory > cgroup.subtree_control && echo divided && exec sleep 1000";
    let id = node.run_with(&pod, "main", script, |c| c["linux"] = privileged.clone());
    node.wait_log(&id, "divided");
    // A privileged container reads the node's names.
    let group = node.exec(&id, "cat /proc/self/cgroup");
    assert!(group.ends_with(&format!("{id}/init")), "{group}");
    node.ok(&["update", "--memory", "209715200", &id]);
    node.ok(&["stop", "--timeout", "0", &id]);
    node.finish();
}

#[test]
fn files_of_cgroup_v2_are_set_as_they_are_given() {
    if !fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap() {
        eprintln!("skipped: this node has no cgroup v2 alone");
        return;
    }
    let Some(node) = Node::start() else { return };
    let pod = node.pod("unified");
    let id = node.run_with(&pod, "main", "exec sleep 1000", |c| {
        c["linux"] = json!({ "resources": { "unified": { "memory.high": "33554432", "memory.oom.group": "1" } } });
    });
    let file = |name: &str| cgroup_file(node.pid(&id), "none", name, name).unwrap();
    assert_eq!((file("memory.high").as_str(), file("memory.oom.group").as_str()), ("33554432", "1"));
    node.finish();
}

#[test]
fn a_container_sees_its_own_cgroup_as_the_root() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("cgroupns");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let seen = node.exec(&id, "cat /proc/self/cgroup");
    assert!(seen.lines().all(|line| line.ends_with(":/") || line.contains("process_api")), "{seen}");
    node.finish();
}

#[test]
fn an_exec_is_in_the_containers_cgroup() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("exec-cgroup");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let mut child = node.crictl.command(&["exec", "-s", &id, "sh", "-c", "sleep 314"]).spawn().unwrap();
    let parent = node.daemon.cgroup_parent().to_owned();
    let mut found = None;
    wait_for(std::time::Duration::from_secs(5), || {
        found =
            wharf_testkit::processes().into_iter().find(|p| p.command == "sleep 314" && p.cgroups.contains(&parent));
        found.is_some()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let found = found.expect("the exec runs in a cgroup below ours");
    let main = fs::read_to_string(format!("/proc/{}/cgroup", node.pid(&id))).unwrap();
    assert_eq!(found.cgroups, main);
    node.finish();
}
