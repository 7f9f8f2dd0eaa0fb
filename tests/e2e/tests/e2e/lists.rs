//! The lists as streams: each item once, the same filters, then the end.

use std::collections::BTreeMap;

use tonic::Code;
use wharf_api::cri::*;
use wharf_e2e::{Cri, Node};

fn labels(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

fn sorted(ids: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort();
    ids
}

#[test]
fn a_stream_has_what_the_list_has() {
    let Some(node) = Node::start() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let (one, two) = (node.pod("one"), node.pod("two"));
    let runs = node.run(&one, "runs", "sleep 1000");
    let created = node.create(&two, "created", "true", |config| config["labels"] = serde_json::json!({ "k": "v" }));
    let (mut client, mut images) = (cri.runtime(), cri.images());

    let mut pods = |filter: Option<PodSandboxFilter>| {
        let parts = cri.all(client.stream_pod_sandboxes(StreamPodSandboxesRequest { filter })).unwrap();
        sorted(parts.into_iter().flat_map(|part| part.pod_sandboxes).map(|pod| pod.id))
    };
    assert_eq!(pods(None), sorted([one.id.clone(), two.id.clone()]));
    let filter = PodSandboxFilter { label_selector: labels("test", "two"), ..PodSandboxFilter::default() };
    assert_eq!(pods(Some(filter)), [two.id.as_str()]);
    assert!(pods(Some(PodSandboxFilter { id: "none".into(), ..PodSandboxFilter::default() })).is_empty());

    let mut containers = |filter: Option<ContainerFilter>| {
        let parts = cri.all(client.stream_containers(StreamContainersRequest { filter })).unwrap();
        sorted(parts.into_iter().flat_map(|part| part.containers).map(|container| container.id))
    };
    assert_eq!(containers(None), sorted([runs.clone(), created.clone()]));
    let state = Some(ContainerStateValue { state: ContainerState::ContainerRunning.into() });
    assert_eq!(containers(Some(ContainerFilter { state, ..ContainerFilter::default() })), [runs.as_str()]);
    let filter = ContainerFilter { label_selector: labels("k", "v"), ..ContainerFilter::default() };
    assert_eq!(containers(Some(filter)), [created]);

    let filter = ContainerStatsFilter { pod_sandbox_id: one.id.clone(), ..ContainerStatsFilter::default() };
    let parts = cri.all(client.stream_container_stats(StreamContainerStatsRequest { filter: Some(filter) })).unwrap();
    let stats: Vec<_> = parts.into_iter().flat_map(|part| part.container_stats).collect();
    assert_eq!(stats.len(), 1);
    assert_eq!(stats[0].attributes.as_ref().unwrap().id, runs);

    let parts = cri.all(client.stream_pod_sandbox_stats(StreamPodSandboxStatsRequest { filter: None })).unwrap();
    let stats = parts.into_iter().flat_map(|part| part.pod_sandbox_stats);
    assert_eq!(sorted(stats.map(|pod| pod.attributes.unwrap().id)), sorted([one.id.clone(), two.id.clone()]));

    let parts = cri.all(images.stream_images(StreamImagesRequest { filter: None })).unwrap();
    let all: Vec<_> = parts.into_iter().flat_map(|part| part.images).collect();
    assert_eq!(all.len(), 1);
    let image = Some(ImageSpec { image: "images.test/absent:1".into(), ..ImageSpec::default() });
    let absent = cri.all(images.stream_images(StreamImagesRequest { filter: Some(ImageFilter { image }) })).unwrap();
    assert!(absent.is_empty());
    node.finish();
}

#[test]
fn checkpoints_are_refused_in_words() {
    let Some(node) = Node::empty() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let mut client = cri.runtime();
    let status = cri.wait(client.checkpoint_container(CheckpointContainerRequest::default())).unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("CheckpointContainer is not implemented"), "{status}");
    let status = cri.wait(client.checkpoint_pod(CheckpointPodRequest::default())).unwrap_err();
    assert!(status.message().contains("CheckpointPod"), "{status}");
    let status = cri.wait(client.restore_pod(RestorePodRequest::default())).unwrap_err();
    assert!(status.message().contains("RestorePod"), "{status}");
    node.finish();
}
