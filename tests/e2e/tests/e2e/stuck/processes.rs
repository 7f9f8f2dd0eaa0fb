//! Processes that wait in the kernel, where no signal reaches them.

use std::fs;

use serde_json::json;
use tempfile::TempDir;
use wharf_api::cri::*;
use wharf_e2e::{Cri, Node};
use wharf_testkit::{MountNs, need, root, wait_for};

use super::{
    DEADLINE, PATIENCE,
    file_system::{DeadFs, FILE},
    is_late, node, others_go_on,
};

const CONFIG: &str = "[runtime]\nkill_deadline = 2\n";

/// A node that sees a file system of which the test decides whether it answers.
fn node_with_fs() -> Option<(Node, DeadFs, TempDir)> {
    need(root())?;
    let mounts = need(MountNs::new())?;
    let folder = tempfile::tempdir().unwrap();
    let node = node(CONFIG, Some(&mounts))?;
    let dead = DeadFs::mount(&mounts, folder.path());
    Some((node, dead, folder))
}

#[test]
fn a_process_in_state_d_is_named_and_goes_once_it_wakes() {
    let Some((node, dead, folder)) = node_with_fs() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let pod = node.pod("waits");
    let script = format!("cat /data/{FILE}; while [ ! -e /go ]; do sleep 0.01; done; exec cat /data/{FILE}");
    let id = node.run_with(&pod, "main", &script, |container| {
        container["mounts"] = json!([{ "host_path": folder.path(), "container_path": "/data" }]);
    });
    node.wait_log(&id, "here it is");
    dead.hold();
    node.exec(&id, "touch /go");
    assert!(wait_for(PATIENCE, || dead.is_waited_for()));
    let said = node.fails(&["stop", "--timeout", "0", &id]);
    for word in ["DeadlineExceeded", &id, "it has not ended 2s after SIGKILL", "state D", "cat ("] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let mut client = cri.runtime();
    let stop = StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() };
    let said = cri.wait(client.stop_pod_sandbox(stop.clone())).unwrap_err();
    assert!(said.message().contains(&pod.id) && said.message().contains("state D"), "{said}");
    let remove = RemovePodSandboxRequest { pod_sandbox_id: pod.id.clone() };
    is_late!(cri, runtime, remove_pod_sandbox, remove, std::time::Duration::from_secs(1), &[&pod.id],);
    others_go_on(&node);
    dead.go_on();
    // The removal that was asked for may be done by then, which is as good.
    cri.wait(client.stop_pod_sandbox(stop)).unwrap();
    cri.wait(client.remove_pod_sandbox(remove)).unwrap();
    assert_eq!(node.ok(&["ps", "-a", "-q"]), "");
    drop(dead);
    node.finish();
}

#[test]
fn a_volume_that_does_not_answer_is_named_and_holds_nobody_else_up() {
    let Some((node, dead, folder)) = node_with_fs() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let pod = node.pod("volume");
    let path = folder.path().join(FILE).display().to_string();
    let config = ContainerConfig {
        metadata: Some(ContainerMetadata { name: "main".into(), attempt: 0 }),
        image: Some(ImageSpec { image: Node::image(), ..ImageSpec::default() }),
        command: ["cat", "/data"].map(str::to_owned).into(),
        log_path: "main.log".into(),
        mounts: vec![Mount { host_path: path.clone(), container_path: "/data".into(), ..Mount::default() }],
        ..ContainerConfig::default()
    };
    let text = fs::read_to_string(&pod.config).unwrap();
    let logs = serde_json::from_str::<serde_json::Value>(&text).unwrap()["log_directory"].as_str().unwrap().to_owned();
    let sandbox_config = Some(PodSandboxConfig { log_directory: logs, ..PodSandboxConfig::default() });
    let create = CreateContainerRequest { pod_sandbox_id: pod.id.clone(), config: Some(config), sandbox_config };

    dead.hold();
    let words = ["create container", "main", &pod.id, "mounts[/data]: resolve the host's path", &path];
    for _ in 0..2 {
        is_late!(cri, runtime, create_container, create, DEADLINE, &words);
    }
    // Who waits for that hears what it is.
    let stop = StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() };
    let words = ["stop pod sandbox", "wait for the end of another call", "mounts[/data]"];
    is_late!(cri, runtime, stop_pod_sandbox, stop, DEADLINE, &words);
    others_go_on(&node);
    dead.go_on();
    // The stop that was begun goes on, too: the pod may have ended before the container is asked for again.
    let stopped = || node.json(&["inspectp", &pod.id])["status"]["state"] == "SANDBOX_NOTREADY";
    assert!(wait_for(PATIENCE, stopped), "the stop that was asked for is done");
    node.ok(&["rmp", &pod.id]);
    drop(dead);
    node.finish();
}

#[test]
fn a_container_is_created_once_its_volume_answers() {
    let Some((node, dead, folder)) = node_with_fs() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let pod = node.pod("answers");
    let path = folder.path().join(FILE);
    let config = node.container_config("main", "cat /data", |container| {
        container["mounts"] = json!([{ "host_path": path, "container_path": "/data" }]);
    });
    dead.hold();
    let said = node.fails(&["--timeout", "4s", "create", &pod.id, &config, &pod.config]);
    assert!(said.contains("DeadlineExceeded"), "{said}");
    dead.go_on();
    let id = node.ok(&["create", &pod.id, &config, &pod.config]);
    assert_eq!(node.ok(&["ps", "-a", "-q"]), id, "one container");

    // And the supervisor that is to mount it.
    dead.hold();
    let said = node.fails(&["--timeout", "60s", "start", &id]);
    for word in ["DeadlineExceeded", "start container", &id, &pod.id, "create task"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    others_go_on(&node);
    assert_eq!(node.status(&id)["reason"], "StartError");
    dead.go_on();
    let mut client = cri.runtime();
    let remove = RemoveContainerRequest { container_id: id };
    cri.wait(client.remove_container(remove)).unwrap();
    let (log, code) = node.outcome(&pod, "again", "cat /data", |container| {
        container["mounts"] = json!([{ "host_path": path, "container_path": "/data" }]);
    });
    assert_eq!((log.as_str(), code), ("here it is\n", 0));
    node.ok(&["stopp", &pod.id]);
    node.ok(&["rmp", &pod.id]);
    drop(dead);
    node.finish();
}
