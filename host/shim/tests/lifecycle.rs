//! Create, start, wait, logs, delete, shut down; and who is told.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it fails")]

mod common;

use std::fs;

use wharf_shim_api::{
    TaskEvent, from_status,
    sandbox::{SandboxStatusRequest, StopSandboxRequest, WaitSandboxRequest},
    task::{ConnectRequest, PidsRequest, ShutdownRequest, StatsRequest, Status, metrics_v1::Metrics},
};

use protobuf::Message as _;
use wharf_error::Kind;

use crate::common::{Container, Pod, ctx};

#[tokio::test]
async fn a_container_lives_and_dies_as_the_protocol_has_it() {
    let mut pod = Pod::ready("life").await;
    let script = "echo out; echo err >&2; printf '%0100d\\n' 7; hostname; printf end; exit 3";
    let container = Container::sh("web", script);
    let pid = pod.create(&container).await.unwrap();
    let state = pod.state("web", "").await.unwrap();
    assert_eq!((state.status.unwrap(), state.pid), (Status::CREATED, pid));
    assert!(pod.log("web").is_empty(), "nothing runs before the start");
    let again = pod.create(&container).await.unwrap_err();
    assert_eq!(from_status("", again).kind(), Kind::AlreadyExists);

    assert_eq!(pod.start_task("web", "").await.unwrap(), pid);
    assert_eq!(pod.wait("web", "").await, 3);
    let log = pod.log("web");
    assert_eq!(
        log.iter().filter(|line| line.starts_with("stdout")).collect::<Vec<_>>(),
        [
            "stdout F out",
            &format!("stdout P {}", "0".repeat(64)),
            &format!("stdout F {}7", "0".repeat(35)),
            "stdout F pod",
            "stdout P end",
        ]
    );
    assert!(log.contains(&"stderr F err".to_owned()), "{log:?}");
    let state = pod.state("web", "").await.unwrap();
    assert_eq!((state.status.unwrap(), state.exit_status), (Status::STOPPED, 3));
    let record = pod.exit_record("web").unwrap();
    assert_eq!((record.exit_code, record.oom), (3, false));
    assert_eq!(pod.wait("web", "").await, 3, "the code is kept");
    assert_eq!(from_status("", pod.kill("web", "", 15, false).await.unwrap_err()).kind(), Kind::NotFound);
    assert_eq!(from_status("", pod.start_task("web", "").await.unwrap_err()).kind(), Kind::FailedPrecondition);

    let deleted = pod.delete("web", "").await.unwrap();
    assert_eq!((deleted.exit_status, deleted.pid), (3, pid));
    assert_eq!(from_status("", pod.state("web", "").await.unwrap_err()).kind(), Kind::NotFound);
    assert!(matches!(pod.next_event().await, TaskEvent::Create(e) if e.pid == pid && e.container_id == "web"));
    assert!(matches!(pod.next_event().await, TaskEvent::Start(e) if e.pid == pid));
    assert!(matches!(pod.next_event().await, TaskEvent::Exit(e) if e.exit_status == 3 && e.id == "web"));
    assert!(matches!(pod.next_event().await, TaskEvent::Delete(e) if e.exit_status == 3));
    let log = fs::read_to_string(pod.bundle.join("log")).unwrap();
    assert!(log.contains(r#""request":"test-request""#), "{log}");
    pod.finish().await;
}

#[tokio::test]
async fn a_created_container_can_be_deleted_and_a_running_one_not() {
    let pod = Pod::ready("undone").await;
    pod.create(&Container::sh("never", "echo never")).await.unwrap();
    assert_eq!(pod.delete("never", "").await.unwrap().exit_status, 137);
    assert!(pod.log("never").is_empty());
    // Made again it has not ended, whatever its first life came to.
    pod.create(&Container::sh("never", "echo never")).await.unwrap();
    assert!(pod.exit_record("never").is_none());
    pod.delete("never", "").await.unwrap();
    pod.run(&Container::sh("runs", "sleep 600")).await;
    assert_eq!(from_status("", pod.delete("runs", "").await.unwrap_err()).kind(), Kind::FailedPrecondition);
    // Shutdown of the task service ends nothing that runs.
    pod.tasks.shutdown(ctx(), &ShutdownRequest { id: "runs".into(), ..Default::default() }).await.unwrap();
    assert_eq!(pod.state("runs", "").await.unwrap().status.unwrap(), Status::RUNNING);
    pod.finish().await;
}

#[tokio::test]
async fn what_cannot_be_executed_is_told_in_known_words() {
    let pod = Pod::ready("noexec").await;
    pod.create(&Container::args("absent", &["no-such-program"])).await.unwrap();
    let error = from_status("", pod.start_task("absent", "").await.unwrap_err()).to_string();
    assert!(error.contains("executable file not found in $PATH"), "{error}");
    assert_eq!(pod.wait("absent", "").await, 127);
    pod.delete("absent", "").await.unwrap();
    let mut outside = Container::sh("outside", "true");
    outside.id = "outside".into();
    let error =
        pod.create_with(&outside, |request| request.rootfs[0].options[0] = "lowerdir=/etc".into()).await.unwrap_err();
    assert_eq!(from_status("", error).kind(), Kind::PermissionDenied);
    let error =
        pod.create_with(&outside, |request| request.stdout = "cri:///no/such/folder/0.log".into()).await.unwrap_err();
    assert!(from_status("", error).to_string().contains("/no/such/folder"));
    assert!(!pod.cgroup_file("outside", "pids", "", "").exists(), "a cgroup is left");
    pod.run(&Container::sh("outside", "true")).await;
    pod.finish().await;
}

#[tokio::test]
async fn a_pod_stops_with_all_its_containers() {
    let pod = Pod::with("netns", |_| {}).await;
    pod.create_sandbox().await.unwrap();
    let netns = format!("/run/netns/{}", pod.id);
    assert!(fs::metadata(&netns).is_ok());
    pod.run(&Container::sh("a", "trap '' TERM; while :; do sleep 1; done")).await;
    pod.run(&Container::sh("b", "sleep 600")).await;
    let id = pod.id.clone();
    let status = SandboxStatusRequest { sandbox_id: id.clone(), verbose: true, ..Default::default() };
    let ready = pod.sandboxes.sandbox_status(ctx(), &status).await.unwrap();
    assert_eq!((ready.state.as_str(), ready.pid), ("SANDBOX_READY", pod.shim_pid()));
    assert_eq!(ready.info["netns"], netns);
    let waiting = {
        let (sandboxes, id) = (pod.sandboxes.clone(), id.clone());
        tokio::spawn(async move {
            sandboxes.wait_sandbox(ctx(), &WaitSandboxRequest { sandbox_id: id, ..Default::default() }).await
        })
    };
    pod.sandboxes.stop_sandbox(ctx(), &StopSandboxRequest { sandbox_id: id, ..Default::default() }).await.unwrap();
    assert_eq!(pod.wait("a", "").await, 137);
    assert_eq!(pod.wait("b", "").await, 137);
    waiting.await.unwrap().unwrap();
    assert_eq!(pod.sandboxes.sandbox_status(ctx(), &status).await.unwrap().state, "SANDBOX_NOTREADY");
    let late = pod.create(&Container::sh("late", "true")).await.unwrap_err();
    assert_eq!(from_status("", late).kind(), Kind::FailedPrecondition);
    pod.finish().await;
}

#[tokio::test]
async fn a_pods_containers_can_share_their_processes() {
    let pod = Pod::with("podpid", |options| options.pid = wharf_shim_api::Namespace::Pod).await;
    pod.run(&Container::sh("first", "exec sleep 12345")).await;
    // An orphan that ends is reaped by nobody of ours.
    let script = "(sleep 0.01 &); cat /proc/1/comm; head -c 10 /proc/1/cmdline; echo; ls /proc/1/root; ps; sleep 600";
    pod.run(&Container::sh("second", script)).await;
    common::eventually("the list", || pod.log("second").iter().any(|line| line.ends_with("sleep 12345")));
    let log = pod.log("second");
    assert_eq!(log[0], "stdout F wharf-init", "{log:?}");
    assert_eq!(log[1], "stdout F wharf-init", "{log:?}");
    assert!(log.iter().any(|line| line.contains("ermission denied")), "process 1 leads to its root: {log:?}");
    pod.kill("first", "", 9, false).await.unwrap();
    assert_eq!(pod.wait("first", "").await, 137);
    assert_eq!(pod.state("second", "").await.unwrap().status.unwrap(), Status::RUNNING, "only its own processes end");
    pod.delete("first", "").await.unwrap();
    pod.finish().await;
}

#[tokio::test]
async fn a_shim_without_a_pod_ends_by_the_task_services_word() {
    let pod = Pod::start("nopod").await;
    let pid = pod.shim_pid();
    pod.tasks.shutdown(ctx(), &ShutdownRequest::default()).await.unwrap();
    common::gone(pid);
    pod.assert_nothing_left();
}

#[tokio::test]
async fn use_and_processes_are_told() {
    let pod = Pod::ready("stats").await;
    let pid = pod.run(&Container::sh("web", "sleep 600 & sleep 600 & wait")).await;
    let connected = pod.tasks.connect(ctx(), &ConnectRequest { id: "web".into(), ..Default::default() }).await.unwrap();
    assert_eq!((connected.shim_pid, connected.task_pid), (pod.shim_pid(), pid));
    let request = PidsRequest { id: "web".into(), ..Default::default() };
    common::eventually("three processes", || pod.count("web") == 3);
    let pids = pod.tasks.pids(ctx(), &request).await.unwrap();
    assert_eq!(pids.processes.len(), 3);
    assert!(pids.processes.iter().any(|process| process.pid == pid));
    let stats = pod.tasks.stats(ctx(), &StatsRequest { id: "web".into(), ..Default::default() }).await.unwrap();
    assert_eq!(stats.stats.type_url, "io.containerd.cgroups.v1.Metrics");
    let metrics = Metrics::parse_from_bytes(&stats.stats.value).unwrap();
    assert!(metrics.pids.current >= 3 && metrics.memory.usage.usage > 0, "{metrics}");
    pod.finish().await;
}
