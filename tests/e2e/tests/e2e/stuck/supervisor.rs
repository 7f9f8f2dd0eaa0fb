//! A pod's supervisor that is stopped (SIGSTOP), as a bug or a debugger would have it.

use std::{fs, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use wharf_api::cri::*;
use wharf_e2e::{Cri, Node, Pod};

use super::{is_late, node, others_go_on};

const CONFIG: &str = "[runtime]\nshim_deadline = 3\nkill_deadline = 3\n";

/// A shim that does nothing until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(node: &Node, pod: &Pod) -> Self {
        let pid = fs::read_to_string(node.daemon.state().join("pods").join(&pod.id).join("shim.pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap());
        kill(pid, Signal::SIGSTOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have been ended.
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

#[test]
fn what_is_asked_of_a_stopped_supervisor_is_named_and_succeeds_once_it_goes_on() {
    let Some(node) = node(CONFIG, None) else { return };
    let cri = Cri::new(&node.daemon.socket());
    let pod = node.pod("stands");
    let (id, created) =
        (node.run(&pod, "main", "exec sleep 1000"), node.create(&pod, "later", "exec sleep 1000", |_| {}));
    let stopped = Stopped::new(&node, &pod);
    let shim = format!("shim of pod {}: ", pod.id);
    for (arguments, word) in [
        (vec!["exec", "-s", &id, "true"], "exec: no answer within"),
        (vec!["stop", "--timeout", "0", &id], "kill task: no answer within"),
        (vec!["rm", "-f", &id], "kill task: no answer within"),
    ] {
        let said = node.fails(&arguments);
        for word in ["DeadlineExceeded", &id, &shim, word] {
            assert!(said.contains(word), "{arguments:?}, {word}: {said}");
        }
    }
    let start = StartContainerRequest { container_id: created.clone() };
    let soon = Duration::from_secs(1);
    is_late!(cri, runtime, start_container, start, soon, &["start container", &created, &shim, "create task"],);
    others_go_on(&node);
    drop(stopped);
    node.ok(&["stop", "--timeout", "0", &id]);
    assert_eq!(node.exit_code(&id), 137);
    node.ok(&["rm", &id]);
    node.ok(&["rm", "-f", &created]);
    assert_eq!(node.outcome(&pod, "again", "echo fine", |_| {}), ("fine\n".into(), 0));
    node.finish();
}

#[test]
fn a_pod_whose_supervisor_never_goes_on_is_stopped_and_removed() {
    let Some(node) = node(CONFIG, None) else { return };
    for name in ["with", "without"] {
        let pod = node.pod(name);
        let id = (name == "with").then(|| node.run(&pod, "main", "exec sleep 1000"));
        let _stopped = Stopped::new(&node, &pod);
        node.ok(&["--timeout", "60s", "stopp", &pod.id]);
        assert_eq!(node.json(&["inspectp", &pod.id])["status"]["state"], "SANDBOX_NOTREADY");
        if let Some(id) = id {
            assert_eq!(node.status(&id)["state"], "CONTAINER_EXITED");
        }
        others_go_on(&node);
        node.ok(&["rmp", &pod.id]);
    }
    node.finish();
}

#[test]
fn a_new_daemon_leaves_a_pod_whose_supervisor_is_silent_as_it_is() {
    let Some(mut node) = node(CONFIG, None) else { return };
    let pod = node.pod("slow");
    let script = "i=0; while [ ! -e /end ]; do i=$((i+1)); echo line $i; sleep 0.02; done; exit 7";
    let id = node.run(&pod, "main", script);
    let stopped = Stopped::new(&node, &pod);
    node.daemon.kill().unwrap();
    node.daemon.launch().unwrap();
    // Longer than it waits for an answer.
    let said = node.fails(&["--timeout", "20s", "exec", "-s", &id, "true"]);
    assert!(said.contains("no answer within") && said.contains(&pod.id), "{said}");
    assert_eq!(node.json(&["inspectp", &pod.id])["status"]["state"], "SANDBOX_READY");
    assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING");
    others_go_on(&node);
    drop(stopped);
    // The container may end before the command that tells it to, and take that along.
    node.crictl.run(&["exec", "-s", &id, "touch", "/end"]).unwrap();
    assert_eq!(node.exit_code(&id), 7);
    node.finish();
}

#[test]
fn a_pod_whose_supervisor_is_silent_to_a_new_daemon_is_stopped_and_removed() {
    let Some(mut node) = node(CONFIG, None) else { return };
    let pod = node.pod("mute");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let _stopped = Stopped::new(&node, &pod);
    node.daemon.kill().unwrap();
    node.daemon.launch().unwrap();
    node.ok(&["--timeout", "60s", "stopp", &pod.id]);
    assert_eq!(node.status(&id)["state"], "CONTAINER_EXITED");
    node.ok(&["rmp", &pod.id]);
    node.finish();
}
