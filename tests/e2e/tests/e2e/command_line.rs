//! `wharf`'s own verbs, as people type them.

use std::{
    io::{Read as _, Write as _},
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use wharf_e2e::Node;
use wharf_testkit::{Auth, Kind, Registry, busybox};

use crate::terminal::Terminal;

const DEADLINE: Duration = Duration::from_secs(30);

fn wharf(node: &Node, arguments: &[&str]) -> Output {
    node.daemon.wharf(arguments).stdin(Stdio::null()).output().unwrap()
}

fn ok(node: &Node, arguments: &[&str]) -> String {
    let out = wharf(node, arguments);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "wharf {arguments:?}: {}{text}", String::from_utf8_lossy(&out.stderr));
    text
}

fn json(node: &Node, arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(node, arguments)).unwrap()
}

/// Its exit code and what it said.
fn fails(node: &Node, arguments: &[&str]) -> (i32, String) {
    let out = wharf(node, arguments);
    assert!(!out.status.success(), "wharf {arguments:?}");
    (out.status.code().unwrap(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn images_are_pulled_listed_inspected_and_removed() {
    let Some(node) = Node::empty() else { return };
    let image = Node::image();
    let pulled = ok(&node, &["pull", &image]);
    assert!(pulled.starts_with(&format!("{image}: sha256:")), "{pulled}");
    let listed = json(&node, &["images", "--json"]);
    assert_eq!(listed[0]["tags"], json!([image]));
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(json(&node, &["pull", "--json", &image])["id"], id);
    let table = ok(&node, &["images"]);
    assert!(table.starts_with("IMAGE") || table.trim_start().starts_with("IMAGE"), "{table}");
    assert!(table.contains("images.test/busybox") && table.contains(&id[7..20]), "{table}");
    assert_eq!(ok(&node, &["images", "-q"]).trim(), id);
    assert_eq!(json(&node, &["inspect", &image])["type"], "image");
    let snapshots = json(&node, &["snapshots", "--json"]);
    let layers = snapshots["snapshots"].as_array().unwrap();
    assert!(!layers.is_empty() && layers.iter().all(|layer| layer["kind"] == "committed"), "{snapshots}");
    assert!(ok(&node, &["snapshots"]).contains("committed"));
    assert_eq!(ok(&node, &["rmi", &image]).trim(), image);
    assert_eq!(json(&node, &["images", "--json"]), json!([]));
    let (code, said) = fails(&node, &["rmi", &image]);
    assert_eq!(code, 4, "{said}");
    ok(&node, &["rmi", "--force", &image]);
    let (code, said) = fails(&node, &["pull", "images.test/nothing:here"]);
    assert!(code != 0 && said.contains("pull images.test/nothing:here"), "{said}");
    node.finish();
}

#[test]
fn images_of_another_namespace_are_listed_inspected_and_removed_there() {
    let Some(node) = Node::empty() else { return };
    let image = Node::image();
    ok(&node, &["pull", "-n", "other", &image]);
    assert_eq!(json(&node, &["images", "--json"]), json!([]), "CRI's namespace has none");
    let listed = json(&node, &["images", "-n", "other", "--json"]);
    assert_eq!(listed[0]["tags"], json!([image]));
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(ok(&node, &["images", "-n", "other", "-q", "images.test/busybox:1"]).trim(), id);
    assert_eq!(ok(&node, &["images", "-n", "other", "-q", "images.test/busybox:2"]), "");
    let inspected = json(&node, &["inspect", "-n", "other", "--type", "image", &image]);
    assert_eq!((&inspected["type"], &inspected["status"]["id"]), (&json!("image"), &json!(id)));
    assert_eq!(inspected["info"]["imageSpec"]["os"], "linux", "{inspected:#}");
    for verb in ["inspect", "rmi"] {
        let (code, said) = fails(&node, &[verb, &image]);
        assert!(code == 4 && said.contains(&image), "{verb} in CRI's namespace: {said}");
    }
    assert_eq!(json(&node, &["images", "-n", "other", "--json"]), listed, "and so it is still there");
    ok(&node, &["rmi", "-n", "other", &id[..19]]);
    assert_eq!(json(&node, &["images", "-n", "other", "--json"]), json!([]));
    assert_eq!(json(&node, &["snapshots", "-n", "other", "--json"])["snapshots"], json!([]));
    node.finish();
}

#[test]
fn of_several_tags_one_is_removed_as_by_docker() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = Node::empty() else { return };
    let image = busybox(Kind::Docker).unwrap();
    let name = |repository: &str, tag: &str| {
        registry.add(repository, tag, &image);
        format!("{}/{repository}:{tag}", registry.address())
    };
    let [a1, a2, b1] = [name("a", "1"), name("a", "2"), name("b", "1")];
    for name in [&a1, &a2, &b1] {
        ok(&node, &["pull", name]);
    }
    let known = |node: &Node| {
        let listed = json(node, &["images", "--json"]);
        assert_eq!(listed.as_array().unwrap().len(), 1, "one image: {listed:#}");
        (listed[0]["tags"].clone(), listed[0]["digests"].as_array().unwrap().len())
    };
    assert_eq!(known(&node), (json!([a1, a2, b1]), 2));
    ok(&node, &["rmi", &a1]);
    assert_eq!(known(&node), (json!([a2, b1]), 2), "the repository has another tag");
    ok(&node, &["rmi", &a2]);
    assert_eq!(known(&node), (json!([b1]), 1), "the last tag of a repository takes its digest along");
    let (code, said) = fails(&node, &["rmi", &a2]);
    assert_eq!(code, 4, "{said}");
    ok(&node, &["pull", &a1]);
    ok(&node, &["rmi", &a1, &b1]);
    assert_eq!(json(&node, &["images", "--json"]), json!([]), "the last name takes the image along");
    assert_eq!(json(&node, &["snapshots", "--json"])["snapshots"], json!([]));
    ok(&node, &["pull", &a1]);
    ok(&node, &["pull", &b1]);
    ok(&node, &["rmi", &image.id]);
    assert_eq!(json(&node, &["images", "--json"]), json!([]), "by its id it goes with all its names");
    node.finish();
}

#[test]
fn unused_images_are_pruned_and_all_removed() {
    let Some(node) = Node::start() else { return };
    let [used, mounted, unused] = ["busybox:1", "odd:1", "user:numeric"].map(|name| format!("images.test/{name}"));
    ok(&node, &["pull", &mounted]);
    ok(&node, &["pull", &unused]);
    ok(&node, &["pull", "-n", "other", &unused]);
    let tags = |node: &Node| -> Vec<String> {
        let listed = json(node, &["images", "--json"]);
        listed.as_array().unwrap().iter().map(|image| image["tags"][0].as_str().unwrap().to_owned()).collect()
    };
    let pod = node.pod("prune");
    let volume = json!([{ "container_path": "/volume", "image": { "image": mounted }, "readonly": true }]);
    let id = node.run_with(&pod, "main", "true", |container| container["mounts"] = volume.clone());
    node.exit_code(&id);
    let gone = ok(&node, &["rmi", "--prune"]);
    assert_eq!(gone.lines().count(), 1, "{gone}");
    assert_eq!(tags(&node), [used, mounted], "those of a container that has ended stay");
    assert_eq!(ok(&node, &["rmi", "--prune"]), "");
    node.ok(&["rmp", "-f", &pod.id]);
    assert_eq!(ok(&node, &["rmi", "--all"]).lines().count(), 2);
    assert_eq!(tags(&node), [""; 0]);
    assert_eq!(json(&node, &["images", "-n", "other", "--json"]).as_array().unwrap().len(), 1);
    ok(&node, &["rmi", "--prune", "-n", "other"]);
    let (code, said) = fails(&node, &["rmi"]);
    assert!(code == 2 && said.contains("IMAGES"), "{said}");
    let (code, said) = fails(&node, &["rmi", "--all", &Node::image()]);
    assert!(code == 2, "{said}");
    node.finish();
}

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
fn images_are_filtered_and_shown_with_digests_and_age() {
    let Some(node) = Node::start() else { return };
    ok(&node, &["pull", "images.test/odd:1"]);
    let listed = json(&node, &["images", "--json", "images.test/busybox:1"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "the one that is named");
    let (id, digest) = (listed[0]["id"].as_str().unwrap(), listed[0]["digests"][0].as_str().unwrap());
    assert!(listed[0]["createdAt"].as_i64().is_some(), "{listed:#}");
    let whole = ok(&node, &["images", "--digests", "--no-trunc"]);
    assert!(whole.contains(id) && whole.contains(digest.split_once('@').unwrap().1), "{whole}");
    assert!(whole.contains("CREATED") && whole.contains(" ago"), "{whole}");
    assert!(!ok(&node, &["images"]).contains(id));
    for (filters, expected) in [
        (&["reference=busybox"][..], id),
        (&["dangling=true"], ""),
        (&["dangling=false", "reference=/busybox:[0-9]$"], id),
        (&["label=no.such"], ""),
    ] {
        let flags: Vec<_> = filters.iter().flat_map(|filter| ["-f", filter]).collect();
        assert_eq!(ok(&node, &[&["images", "-q"][..], &flags].concat()).trim(), expected, "{filters:?}");
    }
    let (code, said) = fails(&node, &["images", "--filter", "since=yesterday"]);
    assert!(code == 2 && said.contains("dangling"), "{said}");
    node.finish();
}

#[test]
fn a_pull_is_given_credentials_or_finds_the_callers_own() {
    let registry = Registry::start(Auth::Basic("user".into(), "secret".into())).unwrap();
    let Some(node) = Node::empty() else { return };
    registry.add("private", "1", &busybox(Kind::Docker).unwrap());
    let address = registry.address();
    let image = format!("{address}/private:1");
    let docker = tempfile::tempdir().unwrap();
    let config = |text: &str| std::fs::write(docker.path().join("config.json"), text).unwrap();
    let pull = |flags: &[&str], input: &str| {
        let mut pull = node.daemon.wharf(&[&["pull", "-q"][..], flags, &[image.as_str()]].concat());
        pull.env("DOCKER_CONFIG", docker.path()).env("PATH", docker.path());
        let mut pull = pull.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that refuses its flags does not read it.
        let _ = pull.stdin.take().unwrap().write_all(input.as_bytes());
        let out = pull.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!said.contains("secret"), "no secret is told: {said}");
        if out.status.success() {
            ok(&node, &["rmi", &image]);
        }
        (out.status.success(), said)
    };
    let (pulled, said) = pull(&[], "");
    assert!(!pulled && said.to_lowercase().contains("unauth"), "{said}");
    for (flags, input, expected) in [
        (&["--creds", "user:secret"][..], "", true),
        (&["--creds", "user:wrong"], "", false),
        (&["--creds", "user"], "", false),
        (&["--username", "user", "--password-stdin"], "secret\n", true),
        (&["-u", "user", "--password-stdin"], "wrong", false),
        (&["-u", "user", "--password-stdin"], "", false),
        (&["-u", "user"], "secret", false),
    ] {
        let (pulled, said) = pull(flags, input);
        assert_eq!(pulled, expected, "{flags:?}: {said}");
    }
    config(&json!({ "auths": { &address: { "auth": "dXNlcjpzZWNyZXQ=" } } }).to_string());
    let (pulled, said) = pull(&[], "");
    assert!(pulled, "the caller's config.json: {said}");
    assert!(!pull(&["--creds", "user:wrong"], "").0, "what is given goes before it");
    config(&json!({ "credHelpers": { &address: "test" } }).to_string());
    let (pulled, said) = pull(&[], "");
    assert!(!pulled && said.contains("docker-credential-test"), "a helper that is not there is named: {said}");
    let helper = docker.path().join("docker-credential-test");
    std::fs::write(&helper, "#!/bin/sh\necho '{\"Username\": \"user\", \"Secret\": \"secret\"}'\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&helper, mode).unwrap();
    let (pulled, said) = pull(&[], "");
    assert!(pulled, "a helper: {said}");
    node.finish();
}

#[test]
fn an_archive_is_imported_from_a_file_or_from_standard_input() {
    let Some(node) = Node::empty() else { return };
    let file = node.daemon.scratch().join("test/image.tar");
    let image = busybox(Kind::Oci).unwrap();
    image.write_oci_archive(&file, "images.test/imported:1").unwrap();
    let path = file.display().to_string();
    assert_eq!(ok(&node, &["image", "import", "-q", &path]).trim(), image.id);
    let listed = json(&node, &["image", "import", "--json", "--name", "images.test/another:2", &path]);
    assert_eq!(listed[0]["id"], image.id.as_str(), "{listed:#}");
    assert!(listed[0]["tags"].as_array().unwrap().contains(&json!("images.test/another:2")), "{listed:#}");
    assert_eq!(json(&node, &["images", "--json"])[0]["tags"].as_array().unwrap().len(), 2);
    let mut piped = node.daemon.wharf(&["image", "import", "-n", "other", "-"]);
    let out = piped.stdin(std::fs::File::open(&file).unwrap()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(text.starts_with(&format!("{}\timages.test/imported:1", image.id)), "{text}");
    assert_eq!(ok(&node, &["images", "-n", "other", "-q"]).trim(), image.id);
    let mut broken = node.daemon.wharf(&["image", "import", "-"]);
    let mut broken = broken.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    broken.stdin.take().unwrap().write_all(&std::fs::read(&file).unwrap()[..20_000]).unwrap();
    assert!(!broken.wait_with_output().unwrap().status.success(), "half of an archive is none");
    let (code, said) = fails(&node, &["image", "import", "/no/such.tar"]);
    assert!(code == 1 && said.contains("/no/such.tar"), "{said}");
    ok(&node, &["rmi", "--all", "-n", "other"]);
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
fn on_a_terminal_a_pull_has_a_bar_a_layer() {
    let Some(node) = Node::empty() else { return };
    let image = Node::image();
    let mut terminal = Terminal::open(40, 120);
    let mut child = terminal.run(&mut node.daemon.wharf(&["pull", &image]));
    assert!(child.wait().unwrap().success(), "{}", terminal.text());
    assert!(terminal.seen_within("done", DEADLINE) && terminal.text().contains('['), "{}", terminal.text());
    node.finish();
}

#[test]
fn pods_and_containers_are_listed_and_inspected() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("listed");
    let running = node.run(&pod, "main", "sleep 1000");
    let ended = node.run(&pod, "done", "exit 3");
    node.exit_code(&ended);
    let pods = json(&node, &["pods", "--json"]);
    assert_eq!((&pods[0]["id"], &pods[0]["state"]), (&json!(pod.id), &json!("ready")));
    assert!(ok(&node, &["pods"]).contains("listed"));
    let shown = json(&node, &["ps", "--json"]);
    assert_eq!(shown.as_array().unwrap().len(), 1);
    assert_eq!((&shown[0]["id"], &shown[0]["state"]), (&json!(running), &json!("running")));
    let all = ok(&node, &["ps", "-a"]);
    assert!(all.contains("exited") && all.contains("running") && all.contains("listed"), "{all}");
    assert_eq!(ok(&node, &["ps", "-aq", "--pod", &pod.id]).lines().count(), 2);
    let inspected = json(&node, &["inspect", &running[..12]]);
    assert_eq!((&inspected["type"], &inspected["status"]["id"]), (&json!("container"), &json!(running)));
    assert!(inspected["info"]["pid"].as_i64().unwrap() > 1);
    assert_eq!(json(&node, &["inspect", &pod.id])["type"], "pod");
    for absent in ["nothing", "Bad-Name"] {
        let (code, said) = fails(&node, &["inspect", absent]);
        assert!(code == 4 && said.contains(absent), "{said}");
        let (code, said) = fails(&node, &["inspect", "--type", "image", absent]);
        assert!(code == 4 && said.contains(absent), "{said}");
    }
    let (code, said) = fails(&node, &["inspect", "--type", "pod", &running]);
    assert!(code == 4 && said.contains("there is no pod"), "a container is no pod: {said}");
    let both = json(&node, &["inspect", &pod.id, &running]);
    assert_eq!((&both[0]["type"], &both[1]["status"]["id"]), (&json!("pod"), &json!(running)));
    let out = wharf(&node, &["inspect", "nothing", &running]);
    let found: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), found.as_array().unwrap().len()), (Some(4), 1), "what is there is shown");
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

#[test]
fn the_node_is_explained() {
    let Some(node) = Node::empty() else { return };
    let info = json(&node, &["info", "--json"]);
    assert_eq!(info["facts"]["socket"], json!(node.daemon.socket()));
    assert!(info["facts"]["cgroups"].as_str().is_some_and(|mode| !mode.is_empty()), "{info}");
    let overlay = info["features"].as_array().unwrap().iter().find(|feature| feature["name"] == "overlayfs").unwrap();
    assert_eq!(overlay["there"], true);
    let text = ok(&node, &["info"]);
    assert!(text.contains("This node has:") && text.contains("overlayfs"), "{text}");
    assert!(ok(&node, &["version"]).contains("CRI v1"));
    node.finish();
}

#[test]
fn without_a_daemon_the_socket_is_named() {
    let Some(node) = Node::empty() else { return };
    for verb in [&["ps"][..], &["images"], &["pull", "x"], &["logs", "x"], &["exec", "x", "true"], &["info"]] {
        let mut arguments = vec![verb[0], "--socket", "/run/wharf-no-such.sock"];
        arguments.extend(&verb[1..]);
        let out = std::process::Command::new(wharf_testkit::Daemon::bin_dir().unwrap().join("wharf"))
            .args(&arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains("/run/wharf-no-such.sock") && said.contains("is it running"), "{said}");
    }
    node.finish();
}

#[test]
fn shells_get_their_completions() {
    let Some(node) = Node::empty() else { return };
    for shell in ["bash", "zsh", "fish"] {
        let script = wharf(&node, &["completions", shell]);
        let text = String::from_utf8_lossy(&script.stdout);
        assert!(script.status.success() && text.contains("snapshots"), "{shell}: {text}");
    }
    node.finish();
}
