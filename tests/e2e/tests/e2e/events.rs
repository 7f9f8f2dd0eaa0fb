//! GetContainerEvents: what happens is told in order, and nobody loses anything without hearing so.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tonic::{Code, Streaming};
use wharf_api::cri::{
    ContainerEventResponse, ContainerEventType as Kind, ContainerState, GetEventsRequest, PodSandboxState,
};
use wharf_e2e::{Cri, Node};
use wharf_testkit::{DaemonOptions, wait_for};

fn listen(cri: &Cri) -> Streaming<ContainerEventResponse> {
    let mut client = cri.runtime();
    cri.wait(async move { client.get_container_events(GetEventsRequest {}).await }).unwrap().into_inner()
}

fn next(cri: &Cri, events: &mut Streaming<ContainerEventResponse>) -> ContainerEventResponse {
    cri.wait(events.message()).unwrap().expect("the stream has ended")
}

fn state(event: &ContainerEventResponse, id: &str) -> Option<ContainerState> {
    let status = event.containers_statuses.iter().find(|status| status.id == id)?;
    Some(status.state())
}

#[test]
fn a_life_is_told_from_the_beginning_to_the_end() {
    let Some(node) = Node::start() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let mut events = listen(&cri);
    let pod = node.pod("events");
    let id = node.run(&pod, "main", "exit 3");
    node.exit_code(&id);
    node.ok(&["rm", &id]);
    node.ok(&["stopp", &pod.id]);
    node.ok(&["rmp", &pod.id]);
    let mut before = 0;
    let mut told = |kind: Kind, of: &str| {
        let event = next(&cri, &mut events);
        assert_eq!((event.container_event_type(), event.container_id.as_str()), (kind, of), "{event:#?}");
        let shown = event.pod_sandbox_status.clone().expect("no status of the pod");
        assert_eq!((shown.id.as_str(), shown.metadata.unwrap().name.as_str()), (pod.id.as_str(), "events"));
        assert!(event.created_at >= before);
        before = event.created_at;
        event
    };
    let created = told(Kind::ContainerCreatedEvent, &pod.id);
    assert!(created.containers_statuses.is_empty());
    assert_eq!(
        told(Kind::ContainerStartedEvent, &pod.id).pod_sandbox_status.unwrap().state(),
        PodSandboxState::SandboxReady
    );
    assert_eq!(state(&told(Kind::ContainerCreatedEvent, &id), &id), Some(ContainerState::ContainerCreated));
    assert_eq!(state(&told(Kind::ContainerStartedEvent, &id), &id), Some(ContainerState::ContainerRunning));
    let stopped = told(Kind::ContainerStoppedEvent, &id);
    let status = &stopped.containers_statuses[0];
    assert_eq!(
        (status.state(), status.exit_code, status.reason.as_str()),
        (ContainerState::ContainerExited, 3, "Error")
    );
    assert!(status.finished_at >= status.started_at && status.started_at > 0);
    assert_eq!(state(&told(Kind::ContainerDeletedEvent, &id), &id), None);
    let pods_end = told(Kind::ContainerStoppedEvent, &pod.id).pod_sandbox_status.unwrap();
    assert_eq!(pods_end.state(), PodSandboxState::SandboxNotready);
    told(Kind::ContainerDeletedEvent, &pod.id);
    node.finish();
}

#[test]
fn what_ended_without_a_daemon_is_told_by_the_next_one() {
    let Some(mut node) = Node::start() else { return };
    let pod = node.pod("unseen");
    let id = node.run(&pod, "main", "while [ ! -e /end ]; do sleep 0.05; done; exit 5");
    let stays = node.run(&pod, "stays", "sleep 1000");
    let pid = node.pid(&id);
    node.daemon.kill().unwrap();
    // Its root is only in its own mount namespace.
    std::fs::write(format!("/proc/{pid}/root/end"), "").unwrap();
    assert!(wait_for(Duration::from_secs(20), || !std::path::Path::new(&format!("/proc/{pid}/root/end")).exists()));
    node.daemon.launch().unwrap();
    let cri = Cri::new(&node.daemon.socket());
    let mut events = listen(&cri);
    let event = next(&cri, &mut events);
    assert_eq!((event.container_event_type(), event.container_id.as_str()), (Kind::ContainerStoppedEvent, id.as_str()));
    let status = event.containers_statuses.iter().find(|status| status.id == id).unwrap();
    assert_eq!((status.state(), status.exit_code), (ContainerState::ContainerExited, 5));
    assert_eq!(state(&event, &stays), Some(ContainerState::ContainerRunning));
    // Once: who comes later hears only what happens then.
    let mut later = listen(&cri);
    node.ok(&["stop", "-t", "0", &stays]);
    for events in [&mut events, &mut later] {
        let event = next(&cri, events);
        assert_eq!(event.container_id, stays);
        assert_eq!(event.container_event_type(), Kind::ContainerStoppedEvent);
    }
    node.finish();
}

#[test]
fn a_client_that_does_not_read_hears_that_it_has_missed_something() {
    let options = DaemonOptions { cri: "event_buffer = 2".into(), ..DaemonOptions::default() };
    let Some(node) = Node::with(options) else { return };
    node.ok(&["pull", &Node::image()]);
    // A connection each: what one does not read must not be in the way of the other.
    let (lazy, cri) = (Cri::new(&node.daemon.socket()), Cri::new(&node.daemon.socket()));
    let (mut slow, mut quick) = (listen(&lazy), listen(&cri));
    // Large enough for a few to fill what lies between daemon and client.
    let pod = node.pod_with("many", |config| config["annotations"] = json!({ "long": "x".repeat(60_000) }));
    let mut expected =
        vec![(Kind::ContainerCreatedEvent, pod.id.clone()), (Kind::ContainerStartedEvent, pod.id.clone())];
    let told = |quick: &mut Streaming<ContainerEventResponse>| {
        let event = next(&cri, quick);
        (event.container_event_type(), event.container_id)
    };
    assert_eq!([told(&mut quick), told(&mut quick)], expected[..]);
    for number in 0..12 {
        let id = node.create(&pod, &format!("c{number}"), "true", |_| {});
        let made = (Kind::ContainerCreatedEvent, id);
        assert_eq!(told(&mut quick), made, "one that reads misses nothing");
        expected.push(made);
    }
    let mut heard = Vec::new();
    let status = loop {
        match lazy.wait(slow.message()) {
            Ok(Some(event)) => heard.push((event.container_event_type(), event.container_id)),
            Ok(None) => panic!("it ended as if nothing had been missed, after {}", heard.len()),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("list"), "{status}");
    assert!(heard.len() < expected.len(), "nothing was missed at all");
    assert_eq!(heard, expected[..heard.len()], "what comes before is whole and in order");
    drop((slow, quick));
    node.finish();
}

#[test]
fn crictl_shows_events_and_the_daemon_ends_without_waiting_for_it() {
    let Some(mut node) = Node::start() else { return };
    let mut crictl = node.crictl.command(&["events", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(crictl.stdout.take().unwrap());
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    // It says nothing before the first event: pods come until it has heard of one.
    let mut text = String::new();
    let mut number = 0;
    let heard = wait_for(Duration::from_secs(60), || {
        number += 1;
        let pod = node.pod(&format!("shown-{number}"));
        node.ok(&["rmp", "-f", &pod.id]);
        text.extend(receive.try_iter());
        serde_json::Deserializer::from_str(&text).into_iter::<Value>().flatten().any(|event| {
            event["containerEventType"] == "CONTAINER_STARTED_EVENT" && event["podSandboxStatus"]["id"].is_string()
        })
    });
    assert!(heard, "{text}");
    let begun = std::time::Instant::now();
    node.daemon.stop().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "the daemon waits for a listener");
    crictl.kill().unwrap();
    crictl.wait().unwrap();
    node.daemon.launch().unwrap();
    node.finish();
}
