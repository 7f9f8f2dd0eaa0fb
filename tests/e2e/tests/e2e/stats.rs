//! What containers and pods use, and the change of what they may use.

use std::fs;

use serde_json::{Value, json};
use wharf_api::cri::{ContainerStatsRequest, PsiStats};
use wharf_e2e::{Cri, Node};

fn number(value: &Value) -> u64 {
    value["value"].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn a_container_tells_what_it_uses() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("stats");
    let script = "head -c 3000000 /dev/zero > /written; while :; do :; done";
    let id = node.run_with(&pod, "busy", script, |config| {
        config["linux"]["resources"] = json!({ "memory_limit_in_bytes": 104_857_600 });
    });
    let idle = node.run(&pod, "idle", "sleep 1000");
    let mut stats = Value::Null;
    let there = wharf_testkit::wait_for(std::time::Duration::from_secs(30), || {
        stats = node.json(&["stats", "--id", &id, "-s", "1"])["stats"][0].clone();
        number(&stats["writableLayer"]["usedBytes"]) >= 3_000_000
            && number(&stats["cpu"]["usageNanoCores"]) > 50_000_000
            && number(&stats["cpu"]["usageCoreNanoSeconds"]) > 100_000_000
    });
    assert!(there, "{stats:#}");
    assert_eq!(stats["attributes"]["id"], json!(id));
    let (working, available) =
        (number(&stats["memory"]["workingSetBytes"]), number(&stats["memory"]["availableBytes"]));
    assert!(working > 0 && working + available == 104_857_600, "{stats:#}");
    let all = node.json(&["stats", "-s", "1"]);
    let ids: Vec<_> = all["stats"].as_array().unwrap().iter().map(|one| one["attributes"]["id"].clone()).collect();
    assert!(ids.contains(&json!(id)) && ids.contains(&json!(idle)), "{all:#}");
    node.ok(&["stop", "-t", "0", &idle]);
    let after = node.json(&["stats", "-a", "-s", "1"]);
    assert_eq!(after["stats"].as_array().unwrap().len(), 1, "what has ended uses nothing: {after:#}");
    node.finish();
}

#[test]
fn what_a_container_waits_for_is_told_where_the_kernel_counts_it() {
    let hierarchy = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    if !hierarchy.iter().any(|root| fs::read(format!("{root}/cpu.pressure")).is_ok()) {
        eprintln!("skipped: this kernel does not count pressure by cgroup");
        return;
    }
    let Some(node) = Node::start() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let pod = node.pod("pressure");
    // Three that want the same processor.
    let id = node.run_with(&pod, "busy", "while :; do :; done & while :; do :; done & while :; do :; done", |config| {
        config["linux"]["resources"] = json!({ "cpuset_cpus": one_processor() });
    });
    let mut seen = None;
    let there = wharf_testkit::wait_for(std::time::Duration::from_secs(60), || {
        let mut client = cri.runtime();
        let request = ContainerStatsRequest { container_id: id.clone() };
        let stats = cri.wait(client.container_stats(request)).unwrap().into_inner().stats.unwrap();
        let psi = |psi: &Option<PsiStats>| psi.as_ref().and_then(|psi| psi.some);
        let cpu = psi(&stats.cpu.as_ref().unwrap().psi).unwrap();
        seen = Some((cpu, psi(&stats.memory.unwrap().psi), psi(&stats.io.unwrap().psi)));
        cpu.total > 100_000_000 && cpu.avg10 > 0.0
    });
    assert!(there && seen.is_some_and(|(_, memory, io)| memory.is_some() && io.is_some()), "{seen:?}");
    node.finish();
}

#[test]
fn a_pod_tells_what_all_of_it_uses() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("statsp");
    let id = node.run(&pod, "main", "while :; do :; done");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let stats = node.json(&["statsp", "--id", &pod.id, "-s", "1"])["stats"][0].clone();
    assert_eq!(stats["attributes"]["id"], json!(pod.id));
    let linux = &stats["linux"];
    assert!(number(&linux["cpu"]["usageNanoCores"]) > 0, "{stats:#}");
    assert!(number(&linux["process"]["processCount"]) >= 1, "{stats:#}");
    assert_eq!(linux["containers"][0]["attributes"]["id"], json!(id), "{stats:#}");
    node.finish();
}

#[test]
fn limits_change_under_a_running_container_or_not_at_all() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("update");
    let id = node.run_with(&pod, "main", "sleep 1000", |config| {
        config["linux"]["resources"] = json!({ "memory_limit_in_bytes": 104_857_600, "cpu_shares": 512 });
    });
    let limits = |id: &str| node.status(id)["resources"]["linux"].clone();
    assert_eq!(limits(&id)["memoryLimitInBytes"], "104857600");
    node.ok(&["update", "--memory", "209715200", "--cpu-quota", "20000", "--cpu-period", "100000", &id]);
    let after = limits(&id);
    assert_eq!((&after["memoryLimitInBytes"], &after["cpuQuota"]), (&json!("209715200"), &json!("20000")));
    assert_eq!(after["cpuShares"], "512", "what is not named stays");
    let seen =
        node.exec(&id, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true");
    assert_eq!(seen.trim(), "209715200");
    // The memory's change is fine by itself; the processors do not exist.
    node.fails(&["update", "--memory", "314572800", "--cpuset-cpus", "999", &id]);
    let seen =
        node.exec(&id, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true");
    assert_eq!(seen.trim(), "209715200", "nothing of a failed change stays");
    assert_eq!(limits(&id)["memoryLimitInBytes"], "209715200");
    let ended = node.run(&pod, "done", "exit 0");
    node.exit_code(&ended);
    node.ok(&["update", "--memory", "209715200", &ended]);
    assert_eq!(limits(&ended)["memoryLimitInBytes"], "209715200", "who sees to limits meets what ends just then");
    node.finish();
}

#[test]
fn the_images_disk_is_told() {
    let Some(node) = Node::start() else { return };
    let info = node.json(&["imagefsinfo"]);
    let text = info.to_string();
    assert!(text.contains("imageFilesystems") && text.contains("containerFilesystems"), "{info:#}");
    node.finish();
}

#[test]
fn a_rotated_log_goes_on_in_a_new_file() {
    let Some(mut node) = Node::start() else { return };
    let pod = node.pod("rotate");
    let id = node.run(&pod, "main", "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.02; done");
    let (log, old) = (pod.logs.join("main.log"), pod.logs.join("main.log.1"));
    node.wait_log(&id, "line 3");
    fs::rename(&log, &old).unwrap();
    node.ok(&["logs", "-r", &id]);
    let fresh = wharf_testkit::wait_for(std::time::Duration::from_secs(20), || {
        fs::read_to_string(&log).is_ok_and(|text| text.lines().count() > 3)
    });
    assert!(fresh, "nothing comes into the new file");
    let numbers = |path| -> Vec<u32> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    };
    let (before, after) = (numbers(&old), numbers(&log));
    assert!(before.iter().chain(&after).copied().eq(1..=before.last().unwrap() + u32::try_from(after.len()).unwrap()));
    // The folder is gone: an error, and no new file.
    let moved = pod.logs.with_extension("moved");
    fs::rename(&pod.logs, &moved).unwrap();
    node.fails(&["logs", "-r", &id]);
    assert!(!pod.logs.exists());
    let count = fs::read_to_string(moved.join("main.log")).unwrap().lines().count();
    let goes_on = wharf_testkit::wait_for(std::time::Duration::from_secs(20), || {
        fs::read_to_string(moved.join("main.log")).unwrap().lines().count() > count
    });
    assert!(goes_on, "the old file is written on");
    fs::rename(&moved, &pod.logs).unwrap();
    // Also without a daemon in between.
    node.daemon.kill().unwrap();
    let count = fs::read_to_string(&log).unwrap().lines().count();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(fs::read_to_string(&log).unwrap().lines().count() > count, "the log waits for the daemon");
    node.daemon.launch().unwrap();
    node.ok(&["logs", "-r", &id]);
    node.ok(&["stop", "-t", "0", &id]);
    assert!(node.fails(&["logs", "-r", &id]).contains("not running"));
    node.finish();
}

/// The first that this process may run on.
fn one_processor() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    list.trim().split(['-', ',']).next().unwrap().to_owned()
}
