use std::{fs, process::Child};

use serde_json::{Value, json};
use wharf_testkit::wait_for;

use crate::support::{Bench, PATIENCE};

/// A command that is ended with the test, however that goes.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn want_of_memory_is_told_when_it_happens_each_time_once() {
    let bench = Bench::new();
    // Its child is killed; the shell lives on, until it is out of memory itself.
    let greedy = "tail -c 200000000 /dev/zero";
    let wait = |name: &str| format!("while [ ! -e /{name} ]; do sleep 0.05; done");
    let script = format!("{}; {greedy}; {}; {greedy}; {}; exec {greedy}", wait("one"), wait("two"), wait("three"));
    let mut spec = bench.spec(&["sh", "-c", &script]);
    spec["linux"]["resources"]["memory"] = json!({ "limit": 16 << 20, "swap": 16 << 20 });
    bench.write(&spec);
    let id = bench.create("oom");
    bench.ok(&["start", &id]);
    let out = bench.path().join("events");
    // The statistics would come a minute apart: what is told meanwhile is told by the kernel.
    let follow = bench.command(&["events", "--interval", "60m", &id]).stdout(fs::File::create(&out).unwrap()).spawn();
    let mut follow = Follower(follow.unwrap());
    let told = || -> Vec<Value> {
        let text = fs::read_to_string(&out).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let oom = json!({ "type": "oom", "id": id });
    assert!(wait_for(PATIENCE, || told().len() == 1), "{:?}", told());
    assert_eq!(told()[0]["type"], "stats");
    for (name, count) in [("one", 1), ("two", 2)] {
        fs::write(bench.rootfs().join(name), "").unwrap();
        assert!(wait_for(PATIENCE, || told().len() == 1 + count), "{:?}", told());
        assert_eq!(told()[count], oom);
        assert_eq!(bench.status(&id), "running", "its first process lives");
    }
    fs::write(bench.rootfs().join("three"), "").unwrap();
    assert!(follow.0.wait().unwrap().success(), "it ends with the container");
    assert_eq!(told()[1..], [oom.clone(), oom.clone(), oom], "each time once, the last one too");
    bench.wait_for_status(&id, "stopped");
}
