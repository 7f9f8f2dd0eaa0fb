use std::{
    fs, io,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use wharf_e2e::{Node, Pod};

/// Writes lines until it is told to end, then ends with 7.
const SCRIPT: &str = "i=0; while [ ! -e /end ]; do i=$((i+1)); echo line $i; sleep 0.02; done; echo last; exit 7";

/// The steps of the demo, in order.
const STEPS: usize = 11;

/// What the steps have made so far.
#[derive(Default)]
struct Made {
    pod: Option<Pod>,
    container: String,
}

fn step(node: &Node, n: usize, made: &mut Made) {
    let container = made.container.clone();
    match n {
        0 => drop(node.ok(&["pull", &Node::image()])),
        1 => made.pod = Some(node.pod("steps")),
        2 => made.container = node.create(made.pod.as_ref().unwrap(), "main", SCRIPT, |_| {}),
        3 => drop(node.ok(&["start", &container])),
        4 => drop(node.wait_log(&container, "line 3")),
        5 => {
            // The container may end before the command that tells it to, and take that along: SIGKILL, 137.
            let ran = node.crictl.run(&["exec", "-s", &container, "touch", "/end"]).unwrap();
            assert!(ran.status.success() || ran.stderr.contains("exited with 137"), "{ran:?}");
        }
        6 => {
            assert_eq!(node.exit_code(&container), 7);
            let log = node.log(&container);
            let numbers: Vec<u32> = log.lines().filter_map(|l| l.strip_prefix("line ")?.parse().ok()).collect();
            let expected = u32::try_from(numbers.len()).unwrap();
            assert!(expected >= 3 && numbers.iter().copied().eq(1..=expected), "each line once and in order: {log}");
            assert!(log.ends_with("last\n"), "{log}");
        }
        7 => remove(node, "rm", &container),
        8 => drop(node.ok(&["stopp", &made.pod.as_ref().unwrap().id])),
        9 => remove(node, "rmp", &made.pod.as_ref().unwrap().id),
        _ => drop(node.ok(&["rmi", &Node::image()])),
    }
}

// crictl looks before it removes, and calls what a removal that was cut off had removed already a failure.
fn remove(node: &Node, verb: &str, id: &str) {
    let ran = node.crictl.run(&[verb, id]).unwrap();
    assert!(ran.status.success() || ran.stderr.contains("code = NotFound"), "{verb} {id}: {ran:?}");
}

#[test]
fn the_daemon_may_be_killed_between_any_two_steps() {
    let Some(mut node) = Node::empty() else { return };
    for killed_after in 0..STEPS {
        let mut made = Made::default();
        for n in 0..STEPS {
            step(&node, n, &mut made);
            if n == killed_after {
                node.daemon.kill().unwrap();
                node.daemon.launch().unwrap();
            }
        }
        assert_eq!(node.ok(&["pods", "-q"]), "", "killed after step {killed_after}");
    }
    node.finish();
}

#[test]
fn the_daemon_may_be_killed_in_the_middle_of_any_step() {
    let Some(mut node) = Node::empty() else { return };
    // Steps that change something, each cut at several moments; then repeated, as the kubelet repeats what it got no answer to.
    for cut in [1, 2, 3, 7, 8, 9] {
        for millis in [1, 4, 9, 16, 30] {
            let mut made = Made::default();
            for n in 0..STEPS {
                if n == cut {
                    begin_and_kill(&mut node, n, &made, Duration::from_millis(millis));
                }
                step(&node, n, &mut made);
            }
            // crictl rm takes the log along, but not when the removal it repeats had been done: the next round's log
            // has the same path and would go on behind it.
            match fs::remove_dir_all(&made.pod.unwrap().logs) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("remove the round's log: {error}"),
                _ => {}
            }
        }
    }
    node.finish();
}

fn begin_and_kill(node: &mut Node, n: usize, made: &Made, after: Duration) {
    let pod = made.pod.as_ref();
    let arguments = match n {
        1 => vec!["runp".into(), node.pod_config("steps", |_| {})],
        2 => {
            let pod = pod.unwrap();
            vec!["create".into(), pod.id.clone(), node.container_config("main", SCRIPT, |_| {}), pod.config.clone()]
        }
        3 => vec!["start".into(), made.container.clone()],
        7 => vec!["rm".into(), made.container.clone()],
        8 => vec!["stopp".into(), pod.unwrap().id.clone()],
        _ => vec!["rmp".into(), pod.unwrap().id.clone()],
    };
    let mut child = node.crictl.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // crictl itself takes about 20 ms before it asks; the moment is what this test varies, nothing waits for it.
    thread::sleep(Duration::from_millis(15) + after);
    node.daemon.kill().unwrap();
    child.wait().unwrap();
    node.daemon.launch().unwrap();
}

#[test]
fn a_container_and_its_log_go_on_while_there_is_no_daemon() {
    let Some(mut node) = Node::start() else { return };
    let pod = node.pod("alone");
    let id = node.run(&pod, "main", SCRIPT);
    node.wait_log(&id, "line 1");
    node.daemon.kill().unwrap();
    let file = pod.logs.join("main.log");
    let before = lines(&file);
    assert!(
        wharf_testkit::wait_for(Duration::from_secs(10), || lines(&file) > before + 5),
        "the log stands still without a daemon"
    );
    node.daemon.launch().unwrap();
    assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING");
    node.exec(&id, "touch /end");
    assert_eq!(node.exit_code(&id), 7);
    node.finish();
}

#[test]
fn an_exit_that_nobody_saw_is_told_by_the_next_daemon() {
    let Some(mut node) = Node::start() else { return };
    let pod = node.pod("unseen");
    let end = node.daemon.scratch().join("test/end");
    let script = "while [ ! -e /shared/end ]; do sleep 0.01; done; exit 9";
    let id = node.run_with(&pod, "main", script, |c| {
        c["mounts"] = serde_json::json!([{ "host_path": end.parent(), "container_path": "/shared" }]);
    });
    let pid = node.pid(&id);
    node.daemon.kill().unwrap();
    fs::write(&end, "").unwrap();
    let gone = || !Path::new(&format!("/proc/{pid}")).exists();
    assert!(wharf_testkit::wait_for(Duration::from_secs(10), gone), "the container does not end");
    node.daemon.launch().unwrap();
    assert_eq!(node.exit_code(&id), 9);
    node.finish();
}

#[test]
fn a_pod_whose_shim_was_killed_is_not_ready_and_can_be_removed() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("orphan");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let state = node.daemon.state().display().to_string();
    let shim = wharf_testkit::processes()
        .into_iter()
        .find(|p| p.command.contains("containerd-shim") && (p.command.contains(&pod.id) || p.command.contains(&state)));
    let shim = shim.expect("the pod has a shim");
    let killed = std::process::Command::new("kill").args(["-9", &shim.pid.to_string()]).status().unwrap();
    assert!(killed.success());
    let seen = wharf_testkit::wait_for(Duration::from_secs(10), || {
        node.json(&["inspectp", &pod.id])["status"]["state"] == "SANDBOX_NOTREADY"
    });
    assert!(seen, "{:#}", node.json(&["inspectp", &pod.id]));
    node.wait_state(&id, "CONTAINER_EXITED");
    node.ok(&["rmp", "-f", &pod.id]);
    node.finish();
}

#[test]
fn a_graceful_stop_leaves_containers_running() {
    let Some(mut node) = Node::start() else { return };
    let pod = node.pod("graceful");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let (pid, begin) = (node.pid(&id), Instant::now());
    assert!(node.daemon.stop().unwrap().success());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    node.daemon.launch().unwrap();
    assert_eq!(node.pid(&id), pid);
    node.finish();
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map(|text| text.lines().count()).unwrap_or(0)
}
