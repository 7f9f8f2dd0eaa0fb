use std::fs;

use serde_json::{Value, json};

use crate::support::{Sandbox, process, push};

/// A field of a process's `/proc/PID/stat`, counted from one.
fn stat(pid: i32, field: usize) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may hold anything but ends with the last parenthesis.
    let rest = &text[text.rfind(')').unwrap() + 2..];
    rest.split_whitespace().nth(field - 3).unwrap().to_owned()
}

#[test]
fn policies_and_nice_values_are_the_specification_s() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sleep", "1000"]);
    spec["process"]["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 7 });
    spec["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 });
    let sleeper = sandbox.sleeper_of(&spec);
    let pid = sleeper.container.pid();
    assert_eq!((stat(pid, 19).as_str(), stat(pid, 41).as_str()), ("7", "3"), "nice, and SCHED_BATCH");
    const GET: libc::c_long = libc::SYS_ioprio_get;
    // SAFETY: no memory is involved.
    let priority = unsafe { libc::syscall(GET, 1, pid) };
    assert_eq!(priority, 2 << 13 | 6);
    assert_eq!(sleeper.sh("cut -d' ' -f19,41 /proc/self/stat").ok(), "0 0", "a further process says its own");
    let mut further = process(&["sh", "-c", "cut -d' ' -f19,41 /proc/self/stat"]);
    further["scheduler"] = json!({ "policy": "SCHED_IDLE" });
    assert_eq!(sleeper.exec(&further).ok(), "0 5");
}

#[test]
fn odd_values_are_refused() {
    let sandbox = Sandbox::new();
    for (field, value, words) in [
        ("ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 8 }), "from 0 to 7"),
        ("scheduler", json!({ "policy": "SCHED_FIFO", "priority": -1 }), "priority -1 is below zero"),
        ("scheduler", json!({ "policy": "SCHED_FIFO", "priority": 1000 }), "process.scheduler SCHED_FIFO"),
    ] {
        let mut spec = sandbox.spec(&["true"]);
        spec["process"][field] = value;
        let error = sandbox.refusal(&spec).to_string();
        assert!(error.contains(words), "{error} does not say {words:?}");
    }
}

#[test]
fn an_exec_has_the_processors_it_is_given() {
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper();
    let allowed = ["sh", "-c", "grep Cpus_allowed_list /proc/self/status | cut -f2"];
    let all = sleeper.exec(&process(&allowed)).ok();
    let mut further = process(&allowed);
    further["execCPUAffinity"] = json!({ "initial": "0" });
    assert_eq!(sleeper.exec(&further).ok(), all, "only until it is in the container's cgroup");
    further["execCPUAffinity"] = json!({ "initial": "0", "final": "0" });
    assert_eq!(sleeper.exec(&further).ok(), "0");
    further["execCPUAffinity"] = json!({ "final": "9000" });
    let error = sleeper.start(&further).map(drop).unwrap_err().to_string();
    assert!(error.contains("process.execCPUAffinity.final \"9000\""), "{error}");
}

#[test]
fn a_personality_is_all_processes_own() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sleep", "1000"]);
    spec["linux"]["personality"] = json!({ "domain": "LINUX32" });
    let sleeper = sandbox.sleeper_of(&spec);
    let seen = fs::read_to_string(format!("/proc/{}/personality", sleeper.container.pid())).unwrap();
    assert_eq!(seen.trim(), "00000008");
    assert_eq!(sleeper.sh("uname -m").ok(), "i686");
    spec["linux"]["personality"]["flags"] = json!(["ADDR_NO_RANDOMIZE"]);
    assert!(sandbox.refusal(&spec).to_string().contains("linux.personality.flags \"ADDR_NO_RANDOMIZE\""));
}

/// The policy in front of each of a process's areas, where the kernel knows nodes.
fn policies(numa_maps: &str) -> std::collections::BTreeSet<&str> {
    numa_maps.lines().filter_map(|line| line.split(' ').nth(1)).collect()
}

#[test]
fn memory_lies_where_the_policy_says_for_execs_too() {
    if !fs::exists("/proc/self/numa_maps").unwrap() {
        eprintln!("skipped: this kernel knows no memory nodes");
        return;
    }
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sleep", "1000"]);
    for (policy, seen) in [
        (json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }), "bind=static:0"),
        (json!({ "mode": "MPOL_PREFERRED", "nodes": "0-0" }), "prefer:0"),
        (json!({ "mode": "MPOL_LOCAL" }), "local"),
        (json!({ "mode": "MPOL_DEFAULT", "nodes": "" }), "default"),
    ] {
        spec["linux"]["memoryPolicy"] = policy;
        let sleeper = sandbox.sleeper_of(&spec);
        let own = fs::read_to_string(format!("/proc/{}/numa_maps", sleeper.container.pid())).unwrap();
        let exec = sleeper.sh("cat /proc/self/numa_maps").ok();
        assert!(policies(&own).contains(seen) && policies(&exec).contains(seen), "{seen}: {own}\n{exec}");
    }
}

#[test]
fn what_is_wrong_with_a_memory_policy_is_told_by_name() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    for (policy, told) in [
        (json!({ "mode": "MPOL_BIND", "nodes": "x" }), "it is no list of numbers"),
        (json!({ "mode": "MPOL_DEFAULT", "nodes": "0" }), "Invalid argument"),
        (json!({ "mode": "MPOL_BIND" }), "Invalid argument"),
        (json!({ "mode": "MPOL_INTERLEAVE", "nodes": "900" }), "Invalid argument"),
    ] {
        spec["linux"]["memoryPolicy"] = policy.clone();
        let error = sandbox.refusal(&spec).to_string();
        assert!(error.contains("linux.memoryPolicy MPOL_") && error.contains(told), "{policy}: {error}");
    }
}

fn with_time(sandbox: &Sandbox, offsets: Value) -> Value {
    let mut spec = sandbox.spec(&["sleep", "1000"]);
    push(&mut spec["linux"]["namespaces"], json!({ "type": "time" }));
    spec["linux"]["timeOffsets"] = offsets;
    spec
}

#[test]
fn a_time_namespace_has_its_own_clocks() {
    let sandbox = Sandbox::new();
    let day = 86_400;
    let spec = with_time(&sandbox, json!({ "boottime": { "secs": 1000 * day }, "monotonic": { "secs": day } }));
    let (stdio, pipes) = crate::support::pipes();
    match sandbox.create(&spec, stdio) {
        // Setting a clock takes CAP_SYS_TIME, which a nested node has not.
        Err(error) if error.to_string().contains("Operation not permitted") => {
            let told = error.to_string();
            assert!(told.contains("set linux.timeOffsets") && told.contains("boottime 86400000 0"), "{told}");
        }
        Err(error) => panic!("{error}"),
        Ok(container) => {
            let ours = fs::read_link("/proc/self/ns/time").unwrap();
            assert_ne!(fs::read_link(format!("/proc/{}/ns/time", container.pid())).unwrap(), ours);
            container.kill(libc::SIGKILL).unwrap();
            pipes.wait(container.pidfd());
            let sleeper = sandbox.sleeper_of(&spec);
            let up: f64 = sleeper.sh("cut -d' ' -f1 /proc/uptime").ok().parse().unwrap();
            assert!(up > f64::from(1000 * day), "{up}");
        }
    }
}

#[test]
fn a_time_namespace_without_offsets_is_new_and_shared_by_execs() {
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper_of(&with_time(&sandbox, json!({})));
    let own = fs::read_link(format!("/proc/{}/ns/time", sleeper.container.pid())).unwrap();
    assert_ne!(own, fs::read_link("/proc/self/ns/time").unwrap());
    assert_eq!(sleeper.sh("readlink /proc/self/ns/time").ok(), own.to_string_lossy());
}

#[test]
fn offsets_without_a_new_time_namespace_and_of_other_clocks_are_refused() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    spec["linux"]["timeOffsets"] = json!({ "monotonic": { "secs": 1 } });
    assert!(sandbox.refusal(&spec).to_string().contains("does not ask for a new time namespace"));
    let spec = with_time(&sandbox, json!({ "realtime": { "secs": 1 } }));
    assert!(sandbox.refusal(&spec).to_string().contains("linux.timeOffsets[realtime]"));
}
