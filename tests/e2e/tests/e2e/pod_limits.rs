//! Limits of a whole pod, changed while it runs, and what its status says.

use std::fs;

use serde_json::json;
use tonic::Code;
use wharf_api::cri::{LinuxContainerResources, PodSandboxStatusRequest, UpdatePodSandboxResourcesRequest};
use wharf_e2e::{Cri, Node};

fn resources(memory: i64) -> Option<LinuxContainerResources> {
    Some(LinuxContainerResources { memory_limit_in_bytes: memory, cpu_shares: 512, ..Default::default() })
}

#[test]
fn a_pods_own_group_takes_new_limits() {
    let Some(node) = Node::start() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let pod = node.pod("resized");
    let id = node.run(&pod, "main", "sleep 1000");
    let ask = |pod: &str, memory| {
        let (mut client, pod_sandbox_id) = (cri.runtime(), pod.to_owned());
        let (resources, overhead) = (resources(memory), resources(1 << 20));
        let asked = UpdatePodSandboxResourcesRequest { pod_sandbox_id, resources, overhead };
        cri.wait(async move { client.update_pod_sandbox_resources(asked).await })
    };
    ask(&pod.id, 200 << 20).unwrap();
    let parent = node.json(&["inspectp", &pod.id])["info"]["cgroupParent"].as_str().unwrap().to_owned();
    let read = |file: &str| {
        let v1 = fs::read_to_string(format!("/sys/fs/cgroup/memory{parent}/memory.limit_in_bytes"));
        v1.or_else(|_| fs::read_to_string(format!("/sys/fs/cgroup{parent}/{file}"))).unwrap().trim().to_owned()
    };
    assert_eq!(read("memory.max"), (201_u64 << 20).to_string(), "the containers' and the pod's own");
    let noted = node.json(&["inspectp", &pod.id])["info"]["limits"]["memory"]["limit"].clone();
    assert_eq!(noted, json!(201 << 20));
    assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING");

    // The status has the containers along, as of one moment.
    let mut client = cri.runtime();
    let asked = PodSandboxStatusRequest { pod_sandbox_id: pod.id.clone(), verbose: false };
    let status = cri.wait(client.pod_sandbox_status(asked)).unwrap().into_inner();
    assert_eq!(status.containers_statuses.len(), 1);
    assert_eq!(status.containers_statuses[0].id, id);
    assert!(status.timestamp > status.status.unwrap().created_at);

    node.ok(&["stopp", &pod.id]);
    assert_eq!(ask(&pod.id, 100 << 20).unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(ask("feedbeef", 100 << 20).unwrap_err().code(), Code::NotFound);
    node.finish();
}
