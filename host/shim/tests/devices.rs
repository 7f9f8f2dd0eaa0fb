//! Which devices a container may use: by the devices controller of cgroup v1, by eBPF on v2.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it fails")]

mod common;

use std::path::Path;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};
use wharf_shim_api::{task::UpdateTaskRequest, to_json};

use crate::common::{Container, Pod, ctx, eventually};

/// A number that no driver has: what may be opened is not there, what may not is not permitted.
const NOBODYS: (u64, u64) = (240, 77);

fn rules(more: &[Value]) -> Value {
    let all = json!({ "allow": false, "access": "rwm" });
    json!({ "devices": std::iter::once(&all).chain(more).collect::<Vec<_>>() })
}

/// What a container says of opening a device.
fn tried(pod: &Pod, turn: usize) -> String {
    eventually("its word", || pod.log("web").len() > turn);
    pod.log("web").remove(turn)
}

async fn update(pod: &Pod, resources: &Value) {
    let resources = Some(to_json("resources", resources).unwrap()).into();
    pod.tasks.update(ctx(), &UpdateTaskRequest { id: "web".into(), resources, ..Default::default() }).await.unwrap();
}

#[tokio::test]
async fn only_allowed_devices_are_opened_and_a_change_counts_at_once() {
    let v1 = Path::new("/sys/fs/cgroup/devices").exists();
    if !v1 && !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        eprintln!("skipped: this node has neither the devices controller nor cgroup v2 alone");
        return;
    }
    let pod = Pod::ready("devices").await;
    let script = "i=0; while true; do until [ -e /tmp/$i ]; do sleep 0.02; done; i=$((i + 1)); \
        echo $( (exec 3</dev/odd) 2>&1) $( (exec 3</dev/null) 2>&1 && echo null); done";
    let mut container = Container::sh("web", script);
    let (major, minor) = NOBODYS;
    container.resources = rules(&[]);
    let pid = pod.run(&container).await;
    let root = format!("/proc/{pid}/root");
    let odd = Path::new(&root).join("dev/odd");
    mknod(&odd, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(major, minor)).unwrap();
    let go = |turn: usize| std::fs::write(Path::new(&root).join(format!("tmp/{turn}")), "").unwrap();

    go(0);
    let said = tried(&pod, 0);
    assert!(said.contains("not permitted") && said.ends_with(" null"), "{said}");

    let allow = |access: &str| json!({ "allow": true, "type": "c", "major": major, "minor": minor, "access": access });
    update(&pod, &rules(&[allow("r")])).await;
    go(1);
    let said = tried(&pod, 1);
    assert!(said.contains("No such device") && said.ends_with(" null"), "{said}");

    // Not one program beside the other, which would both have to allow it; and what was allowed before is not any more.
    update(&pod, &rules(&[allow("w")])).await;
    go(2);
    assert!(tried(&pod, 2).contains("not permitted"));
    update(&pod, &rules(&[allow("rw")])).await;
    go(3);
    assert!(tried(&pod, 3).contains("No such device"));
    // What says nothing of devices leaves them as they are.
    update(&pod, &json!({ "pids": { "limit": 100 } })).await;
    go(4);
    assert!(tried(&pod, 4).contains("No such device"));
    pod.finish().await;
}
