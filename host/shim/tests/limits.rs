//! What cgroups do to a container: memory, signals to all, freezing, changed limits.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it fails")]

mod common;

use std::fs;

use serde_json::json;
use wharf_shim_api::{
    TaskEvent,
    task::{PauseRequest, ResumeRequest, Status, UpdateTaskRequest},
    to_json,
};

use crate::common::{Container, Pod, ctx, eventually, gone};

fn memory_limit(pod: &Pod, container: &str) -> String {
    let file = pod.cgroup_file(container, "memory", "memory.limit_in_bytes", "memory.max");
    fs::read_to_string(file).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_container_out_of_memory_is_known_as_such() {
    let mut pod = Pod::ready("oom").await;
    let mut container = Container::sh("greedy", "exec tail -c 200000000 /dev/zero");
    container.resources = json!({ "memory": { "limit": 16 << 20, "swap": 16 << 20 } });
    pod.run(&container).await;
    assert_eq!(pod.wait("greedy", "").await, 137);
    let record = pod.exit_record("greedy").unwrap();
    assert_eq!((record.exit_code, record.oom), (137, true));
    let mut told = Vec::new();
    while !matches!(told.last(), Some(TaskEvent::Exit(_))) {
        told.push(pod.next_event().await);
    }
    assert!(matches!(&told[told.len() - 2], TaskEvent::Oom(e) if e.container_id == "greedy"), "{told:?}");
    pod.finish().await;
}

#[tokio::test]
async fn a_child_out_of_memory_is_told_while_its_container_lives_and_once() {
    let mut pod = Pod::ready("oom-child").await;
    let script = "while [ ! -e /go ]; do sleep 0.1; done; tail -c 200000000 /dev/zero; echo lives; \
                  while [ ! -e /end ]; do sleep 0.1; done; exit 5";
    let mut container = Container::sh("shell", script);
    container.resources = json!({ "memory": { "limit": 16 << 20, "swap": 16 << 20 } });
    let pid = pod.run(&container).await;
    let inside = |name: &str| fs::write(format!("/proc/{pid}/root/{name}"), "").unwrap();
    assert!(matches!(pod.next_event().await, TaskEvent::Create(_)));
    assert!(matches!(pod.next_event().await, TaskEvent::Start(_)));
    inside("go");
    let told = pod.next_event().await;
    assert!(matches!(&told, TaskEvent::Oom(e) if e.container_id == "shell"), "{told:?}");
    eventually("the shell lives", || pod.log("shell").iter().any(|line| line.ends_with(" lives")));
    assert_eq!(pod.state("shell", "").await.unwrap().status.unwrap(), Status::RUNNING);
    inside("end");
    assert_eq!(pod.wait("shell", "").await, 5);
    let told = pod.next_event().await;
    assert!(matches!(&told, TaskEvent::Exit(e) if e.exit_status == 5), "told again: {told:?}");
    assert!(pod.exit_record("shell").unwrap().oom);
    pod.finish().await;
}

#[tokio::test]
async fn a_limit_can_be_changed() {
    let pod = Pod::ready("update").await;
    let mut container = Container::sh("web", "sleep 600");
    container.resources = json!({ "memory": { "limit": 32 << 20, "swap": 32 << 20 }, "pids": { "limit": 20 } });
    pod.run(&container).await;
    assert_eq!(memory_limit(&pod, "web"), (32 << 20).to_string());
    let resources = json!({ "memory": { "limit": 64 << 20, "swap": 64 << 20 } });
    let request = UpdateTaskRequest {
        id: "web".into(),
        resources: Some(to_json("resources", &resources).unwrap()).into(),
        ..Default::default()
    };
    pod.tasks.update(ctx(), &request).await.unwrap();
    assert_eq!(memory_limit(&pod, "web"), (64 << 20).to_string());
    pod.finish().await;
}

#[tokio::test]
async fn signals_reach_one_or_all() {
    let pod = Pod::ready("signals").await;
    // The shell waits for its child; only a signal to all ends the child.
    pod.run(&Container::sh("one", "trap 'exit 9' USR1; sleep 600 & wait; exit 1")).await;
    eventually("the trap", || pod.log("one").is_empty() && pod.count("one") == 2);
    pod.kill("one", "", 10, false).await.unwrap();
    assert_eq!(pod.wait("one", "").await, 9);
    pod.run(&Container::sh("all", "trap '' TERM; (sleep 600); exit 4")).await;
    eventually("its child", || pod.count("all") >= 2);
    pod.kill("all", "", 9, true).await.unwrap();
    assert_eq!(pod.wait("all", "").await, 137);
    pod.finish().await;
}

#[tokio::test]
async fn with_the_hosts_processes_all_end_with_the_first() {
    let pod = Pod::ready("hostpid").await;
    let mut container = Container::sh("host", "sleep 600 & echo $!; exit 6");
    container.own_pids = false;
    pod.run(&container).await;
    assert_eq!(pod.wait("host", "").await, 6);
    let log = pod.log("host");
    gone(log[0].strip_prefix("stdout F ").unwrap().parse().unwrap());
    pod.delete("host", "").await.unwrap();
    pod.finish().await;
}

#[tokio::test]
async fn a_paused_container_stands_and_dies_all_the_same() {
    let pod = Pod::ready("pause").await;
    pod.run(&Container::sh("web", "sleep 600")).await;
    pod.tasks.pause(ctx(), &PauseRequest { id: "web".into(), ..Default::default() }).await.unwrap();
    assert_eq!(pod.state("web", "").await.unwrap().status.unwrap(), Status::PAUSED);
    pod.tasks.resume(ctx(), &ResumeRequest { id: "web".into(), ..Default::default() }).await.unwrap();
    assert_eq!(pod.state("web", "").await.unwrap().status.unwrap(), Status::RUNNING);
    pod.tasks.pause(ctx(), &PauseRequest { id: "web".into(), ..Default::default() }).await.unwrap();
    pod.finish().await;
}
