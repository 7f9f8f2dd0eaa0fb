use std::time::Duration;

use wharf_e2e::Node;
use wharf_testkit::wait_for;

/// In a container: the command lines of its processes.
const PROCESSES: &str = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '";
const SOON: Duration = Duration::from_secs(30);

#[test]
fn exit_codes_and_reasons_arrive() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("exits");
    for (name, script, code, reason) in [
        ("good", "true", 0, "Completed"),
        ("seven", "exit 7", 7, "Error"),
        ("by-shell", "sh -c 'kill -9 $$'; exit $?", 137, "Error"),
    ] {
        let id = node.run(&pod, name, script);
        let status = node.wait_state(&id, "CONTAINER_EXITED");
        assert_eq!(
            (status["exitCode"].as_i64().unwrap_or(0), status["reason"].as_str()),
            (code, Some(reason)),
            "{name}: {status:#}"
        );
        let time = |key: &str| status[key].as_str().unwrap().to_owned();
        assert!(time("createdAt") <= time("startedAt") && time("startedAt") <= time("finishedAt"), "{status:#}");
    }
    // The first process of a namespace is deaf to its own signals: this one comes from the node.
    let id = node.run(&pod, "killed", "exec sleep 1000");
    let killed = std::process::Command::new("kill").args(["-9", &node.pid(&id).to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(node.exit_code(&id), 137);
    node.finish();
}

#[test]
fn stop_sends_the_images_signal_first_and_kills_after_the_timeout() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("stop");
    let polite = node.run(&pod, "polite", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done");
    node.wait_log(&polite, "ready");
    node.ok(&["stop", "--timeout", "10", &polite]);
    assert_eq!(node.exit_code(&polite), 3);
    assert!(node.log(&polite).contains("bye"));

    let deaf = node.run(&pod, "deaf", "trap '' TERM; echo ready; while :; do sleep 0.02; done");
    node.wait_log(&deaf, "ready");
    node.ok(&["stop", "--timeout", "1", &deaf]);
    assert_eq!(node.exit_code(&deaf), 137);
    node.finish();
}

#[test]
fn the_stop_signal_is_sent_once() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("once");
    let id = node.run(&pod, "main", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done");
    node.wait_log(&id, "ready");
    // As a kubelet does that was restarted, or whose call timed out.
    let mut first = node.crictl.command(&["stop", "--timeout", "1000", &id]).spawn().unwrap();
    node.wait_log(&id, "asked");
    node.ok(&["stop", "--timeout", "1", &id]);
    assert!(first.wait().unwrap().success(), "the first call hears of the end too");
    assert_eq!(node.exit_code(&id), 137);
    let log = node.log(&id);
    assert_eq!(log.matches("asked").count(), 1, "{log}");
    node.finish();
}

#[test]
fn an_exec_brings_both_streams_and_its_exit_code() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("exec");
    let id = node.run(&pod, "main", "exec sleep 1000");
    // crictl shows standard output of what succeeds, and standard error and the code of what does not.
    let ran = node.crictl.run(&["exec", "-s", &id, "sh", "-c", "echo to-out; echo to-err >&2"]).unwrap();
    assert!(ran.status.success() && ran.stdout.contains("to-out"), "{ran:?}");
    assert!((ran.stdout + &ran.stderr).contains("to-err"));
    let said = node.fails(&["exec", "-s", &id, "sh", "-c", "echo why >&2; exit 5"]);
    assert!(said.contains("exited with 5: why"), "{said}");
    let missing = node.fails(&["exec", "-s", &id, "no-such-program"]);
    assert!(missing.contains("no-such-program") && missing.contains("not found"), "{missing}");
    node.finish();
}

#[test]
fn what_is_too_much_of_an_exec_s_output_is_dropped() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("much");
    let id = node.run(&pod, "main", "exec sleep 1000");
    // One message takes 16 MiB, both streams together.
    let much = "yes | head -c 12000000; yes | head -c 12000000 >&2";
    let ran = node.crictl.run(&["exec", "-s", &id, "sh", "-c", much]).unwrap();
    assert!(ran.status.success(), "{}", ran.stderr.chars().take(200).collect::<String>());
    let kept = ran.stdout.len() + ran.stderr.len();
    assert!((15 << 20..=16 << 20).contains(&kept), "{kept}");
    node.finish();
}

#[test]
fn who_starts_what_was_stopped_is_told_so() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("over");
    let (short, stopped) = (node.run(&pod, "short", "true"), node.run(&pod, "stopped", "exec sleep 1000"));
    assert_eq!(node.exit_code(&short), 0);
    node.ok(&["start", &short]);
    node.ok(&["stop", &stopped]);
    let said = node.fails(&["start", &stopped]);
    assert!(said.contains("it has ended") && said.contains("FailedPrecondition"), "{said}");
    node.finish();
}

#[test]
fn an_exec_past_its_timeout_is_ended_with_all_its_children() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("late");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let said = node.fails(&["exec", "-s", "--timeout", "1", &id, "sh", "-c", "sleep 777 & sleep 888"]);
    assert!(said.contains("DeadlineExceeded") || said.contains("timed out"), "{said}");
    let left = node.exec(&id, PROCESSES);
    assert!(!left.contains("sleep 888") && !left.contains("sleep 777"), "{left}");
    node.finish();
}

#[test]
fn an_exec_whose_caller_is_gone_is_ended() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("alone");
    let id = node.run(&pod, "main", "exec sleep 1000");
    // A hook of the kubelet's, without a timeout.
    let command = ["exec", "-s", &id, "sh", "-c", "touch /begun; exec sleep 888"];
    let mut caller = node.crictl.command(&command).spawn().unwrap();
    assert!(wait_for(SOON, || node.exec(&id, "ls /").contains("begun")));
    caller.kill().unwrap();
    caller.wait().unwrap();
    assert!(wait_for(SOON, || !node.exec(&id, PROCESSES).contains("sleep 888")), "{}", node.exec(&id, PROCESSES));
    node.finish();
}

#[test]
fn an_exec_in_a_container_that_ended_is_refused() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("over");
    let id = node.run(&pod, "main", "true");
    node.exit_code(&id);
    let said = node.fails(&["exec", "-s", &id, "true"]);
    assert!(said.contains("not running") || said.contains("exited"), "{said}");
    node.finish();
}

#[test]
fn a_container_out_of_memory_says_so() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("oom");
    let id = node.run_with(&pod, "main", "dd if=/dev/zero of=/dev/null bs=200M count=1", |c| {
        c["linux"] = serde_json::json!({ "resources": { "memory_limit_in_bytes": 32 << 20 } });
    });
    let status = node.wait_state(&id, "CONTAINER_EXITED");
    assert_eq!((status["exitCode"].as_i64(), status["reason"].as_str()), (Some(137), Some("OOMKilled")), "{status:#}");
    node.finish();
}
