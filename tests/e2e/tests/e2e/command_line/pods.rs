//! Lists of pods and containers, their logs, commands in them.

use std::{
    io::{Read as _, Write as _},
    process::Stdio,
};

use serde_json::{Value, json};
use wharf_e2e::Node;

use super::{DEADLINE, fails, ok, parsed, wharf};
use crate::terminal::Terminal;

#[test]
fn lists_are_filtered_as_by_crictl() {
    let Some(node) = Node::start() else { return };
    let [web, db] = ["web", "db"]
        .map(|name| node.pod_with(name, |pod| pod["metadata"]["namespace"] = json!(format!("space-{name}"))));
    let first = node.run_with(&web, "main", "sleep 1000", |c| c["labels"] = json!({ "tier": "front", "a": "b" }));
    let ended = node.run_with(&web, "init-1", "exit 0", |c| c["labels"] = json!({ "tier": "front" }));
    node.exit_code(&ended);
    let last = node.run(&db, "main", "sleep 1000");
    let lines = |flags: &[&str]| -> Vec<String> {
        let mut ids: Vec<_> = ok(&node, flags).lines().map(str::to_owned).collect();
        ids.sort();
        ids
    };
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<_> = ids.iter().map(|id| (*id).clone()).collect();
        ids.sort();
        ids
    };
    for (flags, expected) in [
        (&["--label", "tier=front"][..], &[&first][..]),
        (&["-a", "--label", "tier=front"], &[&first, &ended]),
        (&["-a", "--label", "tier=front", "--label", "a=b"], &[&first]),
        (&["-a", "--name", "^init-[0-9]$"], &[&ended]),
        (&["--namespace", "space-db"], &[&last]),
        (&["--state", "exited"], &[&ended]),
        (&["--latest"], &[&last]),
        (&["--last", "2"], &[&last, &ended]),
        (&["-a", "--image", "images.test/busybox:1"], &[&first, &ended, &last]),
    ] {
        assert_eq!(lines(&[&["ps", "-q"][..], flags].concat()), sorted(expected), "ps {flags:?}");
    }
    let (code, said) = fails(&node, &["ps", "--image", "images.test/absent:1"]);
    assert_eq!(code, 4, "{said}");
    let whole = ok(&node, &["ps", "--no-trunc"]);
    assert!(whole.contains(&first) && whole.contains(&web.id) && whole.contains("space-web"), "{whole}");
    node.ok(&["stopp", &db.id]);
    for (flags, expected) in [
        (&["--name", "web"][..], &web),
        (&["--label", "test=db"], &db),
        (&["--namespace", "space-web"], &web),
        (&["--state", "ready"], &web),
        (&["--state", "notready"], &db),
        (&["--latest"], &db),
        (&["-n", "1"], &db),
    ] {
        let listed = lines(&[&["pods", "-q"][..], flags].concat());
        assert_eq!(listed, std::slice::from_ref(&expected.id), "pods {flags:?}");
    }
    assert!(ok(&node, &["pods", "--no-trunc"]).contains(&web.id));
    node.finish();
}

#[test]
fn a_log_is_followed_through_rotations() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("rotation");
    let id =
        node.run(&pod, "main", "n=0; until [ -e /stop ]; do n=$((n+1)); echo line $n; sleep 0.02; done; echo last");
    let mut follow = node.daemon.wharf(&["logs", "-f", &id]).stdout(Stdio::piped()).spawn().unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let (mut out, shown) = (follow.stdout.take().unwrap(), seen.clone());
    let reading = std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = out.read(&mut chunk) {
            shown.lock().unwrap().push_str(std::str::from_utf8(&chunk[..count]).unwrap());
        }
    });
    let (log, old) = (pod.logs.join("main.log"), pod.logs.join("main.log.1"));
    node.wait_log(&id, "line 3");
    for _ in 0..3 {
        std::fs::rename(&log, &old).unwrap();
        node.ok(&["logs", "-r", &id]);
        // Only then again: what is rotated twice before anybody looks is gone.
        let followed = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let first =
                text.lines().next().and_then(|line| line.split_once(" F ")).map(|(_, text)| format!("{text}\n"));
            first.is_some_and(|first| seen.lock().unwrap().contains(&first))
        };
        assert!(wharf_testkit::wait_for(DEADLINE, followed), "it does not go on in the new file");
    }
    node.exec(&id, "touch /stop");
    reading.join().unwrap();
    assert!(follow.wait().unwrap().success());
    let text = seen.lock().unwrap().clone();
    let (lines, last) = text.trim_end().rsplit_once('\n').unwrap();
    let numbers: Vec<u32> = lines.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    let most = u32::try_from(numbers.len()).unwrap();
    assert!(numbers.iter().copied().eq(1..=most), "each line once and in order: {text}");
    assert!(most > 6 && last == "last", "{text}");
    node.finish();
}

#[test]
fn pods_and_containers_are_listed_and_inspected() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("listed");
    let running = node.run(&pod, "main", "sleep 1000");
    let ended = node.run(&pod, "done", "exit 3");
    node.exit_code(&ended);
    let pods = parsed(&node, &["pods", "--json"]);
    assert_eq!((&pods[0]["id"], &pods[0]["state"]), (&json!(pod.id), &json!("ready")));
    assert!(ok(&node, &["pods"]).contains("listed"));
    let shown = parsed(&node, &["ps", "--json"]);
    assert_eq!(shown.as_array().unwrap().len(), 1);
    // As JSON of protocol buffers has it: a number so large is rounded by many who read it.
    assert!(shown[0]["createdAt"].as_str().unwrap().parse::<i64>().unwrap() > 1 << 60, "{shown:#}");
    assert_eq!((&shown[0]["id"], &shown[0]["state"]), (&json!(running), &json!("running")));
    let all = ok(&node, &["ps", "-a"]);
    assert!(all.contains("exited") && all.contains("running") && all.contains("listed"), "{all}");
    assert_eq!(ok(&node, &["ps", "-aq", "--pod", &pod.id]).lines().count(), 2);
    let inspected = parsed(&node, &["inspect", &running[..12]]);
    assert_eq!((&inspected["type"], &inspected["status"]["id"]), (&json!("container"), &json!(running)));
    assert!(inspected["info"]["pid"].as_i64().unwrap() > 1);
    assert_eq!(parsed(&node, &["inspect", &pod.id])["type"], "pod");
    for absent in ["nothing", "Bad-Name"] {
        let (code, said) = fails(&node, &["inspect", absent]);
        assert!(code == 4 && said.contains(absent), "{said}");
        let (code, said) = fails(&node, &["inspect", "--type", "image", absent]);
        assert!(code == 4 && said.contains(absent), "{said}");
    }
    let (code, said) = fails(&node, &["inspect", "--type", "pod", &running]);
    assert!(code == 4 && said.contains("there is no pod"), "a container is no pod: {said}");
    let both = parsed(&node, &["inspect", &pod.id, &running]);
    assert_eq!((&both[0]["type"], &both[1]["status"]["id"]), (&json!("pod"), &json!(running)));
    let out = wharf(&node, &["inspect", "nothing", &running]);
    let found: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), found.as_array().unwrap().len()), (Some(4), 1), "what is there is shown");
    node.finish();
}

#[test]
fn containers_and_pods_are_found_by_name_where_no_id_begins_so() {
    let Some(node) = Node::start() else { return };
    let [first, second, third] = ["first", "second", "third"].map(|name| node.pod(name));
    let ended = node.run(&first, "web", "echo old");
    node.exit_code(&ended);
    let inspected = |flags: &[&str]| parsed(&node, &[&["inspect"][..], flags].concat());
    assert_eq!(inspected(&["web"])["status"]["id"], json!(ended), "the only one at all");
    assert_eq!(ok(&node, &["logs", "web"]), "old\n");
    let running = node.run(&second, "web", "echo new; exec sleep 1000");
    node.wait_log(&running, "new");
    assert_eq!(inspected(&["web"])["status"]["id"], json!(running), "the only one that runs");
    assert_eq!(inspected(&["--type", "container", "web"])["status"]["id"], json!(running));
    assert_eq!(ok(&node, &["logs", "web"]), "new\n");
    assert_eq!(ok(&node, &["exec", "web", "echo", "here"]), "here\n");
    assert_eq!(inspected(&["second"])["status"]["id"], json!(second.id));
    let (code, said) = fails(&node, &["inspect", "--type", "pod", "web"]);
    assert!(code == 4 && said.contains("there is no pod"), "{said}");
    // An id goes before a name, also one of another kind.
    node.run(&third, &running[..8], "exec sleep 1000");
    node.run(&first, &third.id[..8], "exec sleep 1000");
    assert_eq!(inspected(&[&running[..8]])["status"]["id"], json!(running));
    assert_eq!(inspected(&[&third.id[..8]])["status"]["id"], json!(third.id));
    let another = node.run(&third, "web", "exec sleep 1000");
    for verb in [&["inspect", "web"][..], &["logs", "web"], &["exec", "web", "true"]] {
        let (code, said) = fails(&node, verb);
        assert!(said.contains(&running) && said.contains(&another) && !said.contains(&ended), "{verb:?}: {said}");
        assert_eq!(code, if verb[0] == "exec" { 125 } else { 1 }, "{said}");
    }
    node.finish();
}

#[test]
fn logs_are_shown_from_the_end_by_time_and_as_they_come() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("logs");
    let id = node.run(&pod, "main", "for n in 1 2 3 4; do echo line $n; done; echo problem >&2; sleep 0.2; echo last");
    node.exit_code(&id);
    let out = wharf(&node, &["logs", &id]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "line 1\nline 2\nline 3\nline 4\nlast\n");
    assert_eq!(String::from_utf8_lossy(&out.stderr), "problem\n");
    assert_eq!(ok(&node, &["logs", "-n", "1", &id]), "last\n");
    assert_eq!(ok(&node, &["logs", "--tail", "0", &id]), "");
    assert_eq!(ok(&node, &["logs", "--since", "2099-01-01T00:00:00Z", &id]), "");
    assert_eq!(ok(&node, &["logs", "--since", "1h", "-n", "1", &id]), "last\n");
    let timed = ok(&node, &["logs", "-t", "-n", "1", &id]);
    assert!(timed.ends_with("Z last\n") && timed.starts_with("20"), "{timed}");

    let long = node.run(&pod, "long", "read x; echo never");
    assert_eq!(ok(&node, &["logs", "-f", &long]), "never\n", "its input is empty: it ends at once");
    let slow = node.run(&pod, "slow", "for n in 1 2 3; do echo part $n; sleep 0.4; done");
    let mut follow = node.daemon.wharf(&["logs", "-f", &slow]).stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    follow.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(follow.wait().unwrap().success());
    assert_eq!(text, "part 1\npart 2\npart 3\n");
    let (code, said) = fails(&node, &["logs", "nothing"]);
    assert!(code == 4, "{said}");
    node.finish();
}

#[test]
fn exec_hands_streams_and_exit_codes_on() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("exec");
    let id = node.run(&pod, "main", "sleep 1000");
    let out = wharf(&node, &["exec", &id, "sh", "-c", "echo out; echo err >&2; exit 42"]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "out\n");
    assert_eq!((String::from_utf8_lossy(&out.stderr).as_ref(), out.status.code()), ("err\n", Some(42)));
    let mut cat = node.daemon.wharf(&["exec", "-i", &id, "cat"]);
    let mut cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    cat.stdin.take().unwrap().write_all(b"through\n").unwrap();
    let out = cat.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "through\n");
    let mut terminal = Terminal::open(33, 99);
    let mut child = terminal.run(&mut node.daemon.wharf(&["exec", "-it", &id, "sh"]));
    terminal.wait("# ");
    terminal.say("stty size; exit 9\n");
    terminal.wait("33 99");
    assert_eq!(child.wait().unwrap().code(), Some(9), "{}", terminal.text());
    for (program, expected, words) in [
        ("/no/such", 127, "no such file or directory"),
        ("no-such", 127, "executable file not found"),
        ("/etc/passwd", 126, "permission denied"),
        ("/etc", 126, ""),
    ] {
        let (code, said) = fails(&node, &["exec", &id, program]);
        assert!(code == expected && said.contains(words), "{program}: {code}: {said}");
    }
    node.ok(&["stop", "--timeout", "0", &id]);
    let (code, said) = fails(&node, &["exec", &id, "true"]);
    assert!(code == 125, "in a container that has ended: {code}: {said}");
    let (code, said) = fails(&node, &["exec", "nothing", "true"]);
    assert!(code == 4, "{said}");
    node.finish();
}
