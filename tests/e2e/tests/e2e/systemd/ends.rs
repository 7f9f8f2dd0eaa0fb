//! Whatever ends while a pod is in a scope: its supervisor, the scope, the daemon, systemd itself.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use serde_json::json;
use wharf_e2e::Pod;
use wharf_testkit::wait_for;

use super::{
    CGROUPS, PATIENCE, Slice, alone, below, beside_others, finish, gone, node, procs, show, systemctl, unit_of,
};

#[test]
fn a_pod_that_lost_its_shim_or_its_scope_is_not_ready_and_leaves_no_unit() {
    let _systemd = beside_others();
    let Some(node) = node() else { return };
    let not_ready = |pod: &Pod| {
        let seen = wait_for(PATIENCE, || node.json(&["inspectp", &pod.id])["status"]["state"] == "SANDBOX_NOTREADY");
        assert!(seen, "{:#}", node.json(&["inspectp", &pod.id]));
    };
    let orphan = node.pod("orphan");
    let id = node.run(&orphan, "main", "exec sleep 1000");
    let shim = node.json(&["inspectp", &orphan.id])["info"]["pid"].as_i64().unwrap();
    assert!(Command::new("kill").args(["-9", &shim.to_string()]).status().unwrap().success());
    not_ready(&orphan);
    node.wait_state(&id, "CONTAINER_EXITED");
    gone(&unit_of(&orphan));

    let stopped = node.pod("stopped");
    let id = node.run(&stopped, "main", "exec sleep 1000");
    systemctl(&["stop", "--no-block", &unit_of(&stopped)]);
    not_ready(&stopped);
    node.wait_state(&id, "CONTAINER_EXITED");
    gone(&unit_of(&stopped));

    // What keeps it obeys SIGTERM: nobody waits for systemd's patience.
    let asked = node.pod("asked");
    let group = format!("{CGROUPS}{}/{}/{}", node.daemon.cgroup_parent(), unit_of(&asked), asked.id);
    let holder = procs(Path::new(&group)).trim().to_owned();
    assert!(Command::new("kill").args(["-TERM", &holder]).status().unwrap().success());
    not_ready(&asked);
    gone(&unit_of(&asked));
    finish(node);
}

#[test]
fn a_daemon_killed_while_it_makes_or_removes_a_pod_leaves_no_unit() {
    let _systemd = beside_others();
    let Some(mut node) = node() else { return };
    let slice = Slice::write(&node, "killed");
    let dir = PathBuf::from(format!("{CGROUPS}{}", slice.path()));
    let scope = |dir: &Path| below(dir).into_iter().next();
    // Each after one more step of systemd's part in it.
    let making: [&dyn Fn() -> bool; 3] = [
        &|| scope(&dir).is_some(),
        &|| scope(&dir).is_some_and(|scope| !procs(&scope).is_empty() || !below(&scope).is_empty()),
        &|| scope(&dir).is_some_and(|scope| below(&scope).iter().any(|group| !procs(group).is_empty())),
    ];
    let removing: [&dyn Fn() -> bool; 3] = [
        &|| scope(&dir).is_none_or(|scope| below(&scope).iter().all(|group| procs(group).is_empty())),
        &|| scope(&dir).is_none_or(|scope| below(&scope).is_empty()),
        &|| scope(&dir).is_none(),
    ];
    for (n, (made, removed)) in making.into_iter().zip(removing).enumerate() {
        let config = node.pod_config(&format!("cut-{n}"), |p| p["linux"] = json!({ "cgroup_parent": slice.path() }));
        let mut runp = node.crictl.command(&["runp", &config]).spawn().unwrap();
        when(made);
        node.daemon.kill().unwrap();
        runp.wait().unwrap();
        node.daemon.launch().unwrap();
        let pod = node.ok(&["runp", &config]);
        assert_eq!(below(&dir).len(), 1, "cut {n}: what the first left is gone");
        let mut rmp = node.crictl.command(&["rmp", "-f", &pod]).spawn().unwrap();
        when(removed);
        node.daemon.kill().unwrap();
        rmp.wait().unwrap();
        node.daemon.launch().unwrap();
        for pod in node.ok(&["pods", "-q"]).lines() {
            node.ok(&["rmp", "-f", pod]);
        }
        assert!(wait_for(PATIENCE, || below(&dir).is_empty()), "cut {n}: {:?}", below(&dir));
        let slices = systemctl(&["show", "--value", "-p", "Slice", "wharf-*.scope"]);
        assert!(!slices.contains(&slice.name), "cut {n}: {slices}");
    }
    drop(slice);
    finish(node);
}

#[test]
fn a_systemd_that_executes_itself_anew_is_waited_for() {
    let _systemd = alone();
    let Some(node) = node() else { return };
    let config = node.pod_config("anew", |_| {});
    let mut running = node.crictl.command(&["runp", &config]).spawn().unwrap();
    systemctl(&["daemon-reexec"]);
    running.wait().unwrap();
    // Whatever became of the first: a retry succeeds.
    let pod = Pod { id: node.ok(&["runp", &config]), config, logs: node.daemon.scratch().join("test/logs/anew") };
    let unit = unit_of(&pod);
    assert_eq!(show(&unit, "ActiveState"), "active");
    let mut stopping = node.crictl.command(&["stopp", &pod.id]).spawn().unwrap();
    systemctl(&["daemon-reexec"]);
    assert!(stopping.wait().unwrap().success(), "what is left of a pod is not systemd's to keep");
    node.ok(&["rmp", &pod.id]);
    gone(&unit);
    finish(node);
}

/// Until it is so, as soon as it is.
fn when(seen: &dyn Fn() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !seen() {
        assert!(Instant::now() < give_up, "it never comes to that");
        thread::yield_now();
    }
}
