//! What is left when containers have come and gone: nothing. A test binary of its own, for it counts what the whole
//! process has.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may end at once")]

#[path = "containers/support.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use std::{collections::BTreeSet, fs};

use serde_json::json;
use wharf_runtime::{PodNamespacesRequest, create_pod_namespaces};

use support::{Sandbox, process};

fn descriptors() -> BTreeSet<String> {
    fs::read_dir("/proc/self/fd").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

fn children() -> String {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default())
        .collect()
}

fn mounts() -> Vec<u8> {
    fs::read("/proc/self/mountinfo").unwrap()
}

#[test]
fn nothing_is_left_of_containers_execs_and_failures() {
    let (fds, table) = (descriptors(), mounts());
    for _ in 0..3 {
        let sandbox = Sandbox::new();
        assert_eq!(sandbox.sh("echo hello").ok(), "hello");
        {
            let running = Sandbox::new();
            let sleeper = running.sleeper();
            let while_running = mounts();
            assert_eq!(while_running, table, "a running container is in no mount table of the host's");
            assert_eq!(sleeper.sh("echo inside").ok(), "inside");
            assert!(sleeper.start(&process(&["nope"])).is_err());
        }
        let failing = Sandbox::new();
        let mut spec = failing.spec(&["true"]);
        spec["mounts"][1]["options"] = json!(["nonsense=1"]);
        failing.refusal(&spec);
        spec["linux"]["sysctl"] = json!({ "kernel.panic": "1" });
        failing.refusal(&spec);
        failing.start_error(&failing.spec(&["nope"]));
        let mut users = failing.spec(&["true"]);
        users["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
        let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
        (users["linux"]["uidMappings"], users["linux"]["gidMappings"]) = (map.clone(), map);
        failing.run(&users).ok();
        users["mounts"][1]["options"] = json!(["nonsense=1"]);
        failing.refusal(&users);
        users["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 100_000, "size": 0 }]);
        failing.refusal(&users);
        let request = PodNamespacesRequest { net: true, ipc: true, uts: true, ..PodNamespacesRequest::default() };
        drop(create_pod_namespaces(&request).unwrap());
    }
    assert_eq!(mounts(), table);
    assert_eq!(children(), "", "children are left");
    // The threads that read pipes have ended with their pipes.
    assert_eq!(descriptors(), fds);
}
