//! Hooks of a container's whole life, as the shim has it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it fails")]

mod common;

use std::{fs, path::PathBuf};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::common::{Container, Pod, gone};

/// A container with hooks that note their kind and the status they are told.
fn noted(pod: &Pod, script: &str) -> (Container, PathBuf) {
    let (hook, notes) = (pod.dir.path().join("hook"), pod.dir.path().join("notes"));
    let note = "sed -n 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/p'";
    fs::write(&hook, format!("echo \"$1 $({note})\" >> {}\n", notes.display())).unwrap();
    let one = |kind: &str| json!([{ "path": "/bin/sh", "args": ["sh", hook, kind], "env": ["PATH=/usr/bin:/bin"] }]);
    let mut container = Container::sh("web", script);
    container.hooks = json!({
        "createRuntime": one("createRuntime"), "poststart": one("poststart"), "poststop": one("poststop"),
    });
    (container, notes)
}

#[tokio::test]
async fn the_end_has_its_hooks_when_everything_is_gone() {
    let pod = Pod::ready("hooks").await;
    let (container, notes) = noted(&pod, "exit 4");
    pod.run(&container).await;
    assert_eq!(pod.wait("web", "").await, 4);
    let before = fs::read_to_string(&notes).unwrap();
    assert_eq!(before, "createRuntime creating\npoststart running\n");
    assert_eq!(pod.delete("web", "").await.unwrap().exit_status, 4, "a hook has nothing to do with it");
    assert_eq!(fs::read_to_string(&notes).unwrap(), before + "poststop stopped\n");
    pod.finish().await;
}

#[tokio::test]
async fn a_container_that_a_hook_forbids_leaves_nothing_and_is_told_its_end() {
    let pod = Pod::ready("forbid").await;
    let (mut container, notes) = noted(&pod, "true");
    let Value::Array(list) = &mut container.hooks["createRuntime"] else { unreachable!() };
    list.push(json!({ "path": "/bin/false" }));
    let error = pod.create(&container).await.unwrap_err().to_string();
    assert!(error.contains("hooks.createRuntime[1] /bin/false: it exited with 1"), "{error}");
    assert_eq!(fs::read_to_string(&notes).unwrap(), "createRuntime creating\npoststop stopped\n");
    // The name is free again.
    pod.run(&Container::sh("web", "exit 5")).await;
    assert_eq!(pod.wait("web", "").await, 5);
    pod.finish().await;
}

#[tokio::test]
async fn a_shim_that_has_died_owes_the_hooks_no_more() {
    let pod = Pod::with("dead-hooks", |_| {}).await;
    let (container, notes) = noted(&pod, "sleep 600");
    pod.run(&container).await;
    kill(Pid::from_raw(pod.shim_pid().try_into().unwrap()), Signal::SIGKILL).unwrap();
    gone(pod.shim_pid());
    pod.delete_dead();
    assert!(fs::read_to_string(&notes).unwrap().ends_with("poststop stopped\n"));
    pod.assert_nothing_left();
}
