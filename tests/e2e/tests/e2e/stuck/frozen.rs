//! Control groups that somebody has frozen.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use wharf_api::cri::*;
use wharf_e2e::{Cri, Node};

use super::{DEADLINE, Frozen, PATIENCE, is_late, node, others_go_on, with_deadline};

const CONFIG: &str = "[runtime]\nkill_deadline = 2\n";

fn exec(node: &Node, id: &str, timeout: i64) -> tonic::Status {
    let cri = Cri::new(&node.daemon.socket());
    let request = ExecSyncRequest { container_id: id.into(), cmd: vec!["true".into()], timeout };
    let mut client = cri.runtime();
    cri.wait(client.exec_sync(request)).unwrap_err()
}

#[test]
fn a_frozen_container_holds_up_no_probe_and_none_beside_it_and_is_stopped() {
    let Some(node) = node(CONFIG, None) else { return };
    let pod = node.pod("frozen");
    let (id, beside) = (node.run(&pod, "main", "exec sleep 1000"), node.run(&pod, "beside", "exec sleep 1000"));
    let frozen = Frozen::new(format!("{}/{}/{id}", node.daemon.cgroup_parent(), pod.id));
    // As many probes as a kubelet sends in a while, each with its timeout of a second.
    thread::scope(|scope| {
        let probes: Vec<_> = (0..16).map(|_| scope.spawn(|| exec(&node, &id, 1))).collect();
        thread::sleep(Duration::from_millis(500));
        let begin = Instant::now();
        assert_eq!(node.exec(&beside, "echo here"), "here");
        let another = node.run(&pod, "another", "exec sleep 1000");
        node.ok(&["stop", "--timeout", "0", &another]);
        assert!(begin.elapsed() < Duration::from_secs(15), "held up for {:?}", begin.elapsed());
        for probe in probes {
            let status = probe.join().unwrap();
            assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{status}");
            assert!(status.message().contains(&id) && status.message().contains("timeout of 1s"), "{status}");
        }
    });
    others_go_on(&node);
    // SIGTERM cannot be heard; SIGKILL thaws.
    node.ok(&["stop", "--timeout", "1", &id]);
    assert_eq!(node.exit_code(&id), 137);
    drop(frozen);
    node.finish();
}

#[test]
fn who_has_waited_for_a_frozen_container_runs_nothing_once_it_thaws() {
    let Some(node) = node(CONFIG, None) else { return };
    let pod = node.pod("thaws");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let frozen = Frozen::new(format!("{}/{}/{id}", node.daemon.cgroup_parent(), pod.id));
    let said = node.fails(&["exec", "--timeout", "1", "-s", &id, "sh", "-c", "sleep 3; touch /ran"]);
    assert!(said.contains("DeadlineExceeded"), "{said}");
    drop(frozen);
    assert_eq!(node.exec(&id, "sleep 5; ls /ran 2>&1 || true"), "ls: /ran: No such file or directory");
    node.finish();
}

#[test]
fn a_frozen_group_above_is_named_and_the_stop_succeeds_once_it_thaws() {
    let Some(node) = node(CONFIG, None) else { return };
    let cri = Cri::new(&node.daemon.socket());
    let parent = format!("{}/client-s", node.daemon.cgroup_parent());
    let pod = node.pod_with("above", |pod| pod["linux"] = serde_json::json!({ "cgroup_parent": parent }));
    let id = node.run(&pod, "main", "exec sleep 1000");
    let frozen = Frozen::new(parent.clone());
    let mut client = cri.runtime();
    let stop = StopContainerRequest { container_id: id.clone(), timeout: 0 };
    let ended = cri.wait(client.stop_container(with_deadline(stop.clone(), Duration::from_secs(1))));
    // Under v2 SIGKILL ends what is frozen.
    if ended.is_err() {
        let said = node.fails(&["stop", "--timeout", "0", &id]);
        let words = ["DeadlineExceeded", &id, "it has not ended 2s after SIGKILL", &parent, "must be thawed"];
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        let stop = StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() };
        is_late!(cri, runtime, stop_pod_sandbox, stop, DEADLINE, &[&pod.id, "after SIGKILL"]);
        let said = node.fails(&["rm", "-f", &id]);
        assert!(said.contains("remove container") || said.contains("stop container"), "{said}");
    }
    others_go_on(&node);
    drop(frozen);
    cri.wait(client.stop_container(stop)).unwrap();
    assert_eq!(node.exit_code(&id), 137);
    node.ok(&["stopp", &pod.id]);
    node.ok(&["rmp", &pod.id]);
    remove_group(&parent);
    remove_group(node.daemon.cgroup_parent());
    node.finish();
}

#[test]
fn a_pod_whose_own_group_is_frozen_can_be_stopped() {
    let Some(node) = node(CONFIG, None) else { return };
    let pod = node.pod("own");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let _frozen = Frozen::new(format!("{}/{}", node.daemon.cgroup_parent(), pod.id));
    node.ok(&["stopp", &pod.id]);
    assert_eq!(node.exit_code(&id), 137);
    node.finish();
}

/// The client's own: nobody else removes it.
fn remove_group(path: &str) {
    let gone = || wharf_testkit::remove_cgroup(path);
    assert!(wharf_testkit::wait_for(PATIENCE, gone), "{path}");
    assert!(!fs::exists(format!("/sys/fs/cgroup/freezer{path}")).unwrap());
}
