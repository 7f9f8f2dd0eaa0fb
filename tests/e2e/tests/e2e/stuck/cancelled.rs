//! Calls whose client gives up in the middle of any step, and asks again.

use std::time::Duration;

use tonic::Code;
use wharf_api::cri::*;
use wharf_e2e::{Cri, Node};
use wharf_testkit::{Auth, Kind, Registry, busybox};

use super::with_deadline;

/// From before the first step to behind the last one.
const DEADLINES: [u64; 9] = [1, 2, 3, 5, 8, 13, 21, 34, 50];

/// Asks once with a deadline that cuts it, and once more with time: the second answer.
macro_rules! cut_and_again {
    ($cri:expr, $client:ident, $call:ident, $message:expr, $deadline:expr) => {{
        let (mut client, message, deadline) = ($cri.$client(), $message, Duration::from_millis($deadline));
        let cut = $cri.wait(client.$call(with_deadline(message.clone(), deadline)));
        if let Err(status) = cut {
            let expected = matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled);
            assert!(expected, "{} within {deadline:?}: {status}", stringify!($call));
        }
        let again = $cri.wait(client.$call(message));
        again.unwrap_or_else(|status| panic!("{} after {deadline:?}: {status}", stringify!($call))).into_inner()
    }};
}

fn pod_config(node: &Node) -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "cut".into(),
            uid: "uid-of-cut".into(),
            namespace: "tests".into(),
            attempt: 0,
        }),
        log_directory: node.daemon.scratch().join("test/logs/cut").display().to_string(),
        ..PodSandboxConfig::default()
    }
}

fn container_config() -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "main".into(), attempt: 0 }),
        image: Some(ImageSpec { image: Node::image(), ..ImageSpec::default() }),
        command: ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.01; done"].map(str::to_owned).into(),
        log_path: "main.log".into(),
        ..ContainerConfig::default()
    }
}

#[test]
fn every_call_may_be_cut_at_any_moment_and_asked_again() {
    let Some(node) = Node::start() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let (pod, container) = (pod_config(&node), container_config());
    for deadline in DEADLINES {
        let run = RunPodSandboxRequest { config: Some(pod.clone()), runtime_handler: String::new() };
        let pod_sandbox_id = cut_and_again!(cri, runtime, run_pod_sandbox, run, deadline).pod_sandbox_id;
        assert_eq!(node.ok(&["pods", "-q"]), pod_sandbox_id, "one pod, after {deadline} ms");
        let create = CreateContainerRequest {
            pod_sandbox_id: pod_sandbox_id.clone(),
            config: Some(container.clone()),
            sandbox_config: Some(pod.clone()),
        };
        let id = cut_and_again!(cri, runtime, create_container, create, deadline).container_id;
        assert_eq!(node.ok(&["ps", "-a", "-q"]), id, "one container, after {deadline} ms");
        let start = StartContainerRequest { container_id: id.clone() };
        cut_and_again!(cri, runtime, start_container, start, deadline);
        assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING", "after {deadline} ms");
        let stop = StopContainerRequest { container_id: id.clone(), timeout: 30 };
        cut_and_again!(cri, runtime, stop_container, stop, deadline);
        assert_eq!(node.status(&id)["state"], "CONTAINER_EXITED", "after {deadline} ms");
        let remove = RemoveContainerRequest { container_id: id };
        cut_and_again!(cri, runtime, remove_container, remove, deadline);
        assert_eq!(node.ok(&["ps", "-a", "-q"]), "", "after {deadline} ms");
        let stop = StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() };
        cut_and_again!(cri, runtime, stop_pod_sandbox, stop, deadline);
        let remove = RemovePodSandboxRequest { pod_sandbox_id };
        cut_and_again!(cri, runtime, remove_pod_sandbox, remove, deadline);
        assert_eq!(node.ok(&["pods", "-q"]), "", "after {deadline} ms");
    }
    node.finish();
}

#[test]
fn a_pod_with_what_runs_in_it_may_be_cut_off_and_removed() {
    let Some(node) = Node::start() else { return };
    let cri = Cri::new(&node.daemon.socket());
    for deadline in DEADLINES {
        let pod = node.pod("whole");
        for name in ["one", "two"] {
            node.run(&pod, name, "exec sleep 1000");
        }
        let stop = StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() };
        cut_and_again!(cri, runtime, stop_pod_sandbox, stop, deadline);
        let remove = RemovePodSandboxRequest { pod_sandbox_id: pod.id };
        cut_and_again!(cri, runtime, remove_pod_sandbox, remove, deadline);
        assert_eq!(node.ok(&["ps", "-a", "-q"]), "", "after {deadline} ms");
    }
    node.finish();
}

#[test]
fn a_pull_may_be_cut_at_any_moment_and_asked_again() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = Node::empty() else { return };
    let cri = Cri::new(&node.daemon.socket());
    registry.add("cut", "1", &busybox(Kind::OciIndex).unwrap());
    let image = Some(ImageSpec { image: format!("{}/cut:1", registry.address()), ..ImageSpec::default() });
    for deadline in DEADLINES.into_iter().chain([80, 130]) {
        let pull = PullImageRequest { image: image.clone(), ..PullImageRequest::default() };
        let pulled = cut_and_again!(cri, images, pull_image, pull, deadline).image_ref;
        assert!(node.ok(&["images", "-q", "--no-trunc"]).contains(&pulled), "after {deadline} ms");
        let remove = RemoveImageRequest { image: image.clone() };
        cut_and_again!(cri, images, remove_image, remove, deadline);
        assert_eq!(node.ok(&["images", "-q"]), "", "after {deadline} ms");
    }
    node.finish();
}
