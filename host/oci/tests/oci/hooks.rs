use std::fs;

use serde_json::{Value, json};

use crate::support::Bench;

/// Hooks of all kinds that note themselves, the status that they are told and whose process that is.
fn noted(bench: &Bench) -> Value {
    let script = bench.path().join("hook");
    let note = "state=$(cat); field() { echo \"$state\" | sed -n \"s/.*\\\"$1\\\":\\\"*\\([a-z0-9]*\\).*/\\1/p\"; }";
    let notes = bench.path().join("notes");
    let text = format!("{note}\necho \"$1 $(field status) $(field pid)\" >> {}\n", notes.display());
    fs::write(&script, text).unwrap();
    let on_node =
        |kind: &str| json!([{ "path": "/bin/sh", "args": ["sh", script, kind], "env": ["PATH=/usr/bin:/bin"] }]);
    // A program of the container's own root, as the specification has it.
    let inside = json!([{ "path": "/bin/sh", "args": ["sh", "-c", "cat > /told"], "env": ["PATH=/bin"] }]);
    json!({
        "prestart": on_node("prestart"), "createRuntime": on_node("createRuntime"),
        "createContainer": on_node("createContainer"), "startContainer": inside, "poststart": on_node("poststart"),
        "poststop": on_node("poststop"),
    })
}

fn notes(bench: &Bench) -> Vec<String> {
    let text = fs::read_to_string(bench.path().join("notes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn each_command_runs_the_hooks_of_its_turn() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["sh", "-c", "echo ran; exec sleep 1000"]);
    spec["hooks"] = noted(&bench);
    bench.write(&spec);
    let id = bench.create("hooks");
    let pid = bench.state(&id)["pid"].as_i64().unwrap();
    let created = ["prestart", "createRuntime", "createContainer"].map(|kind| format!("{kind} creating {pid}"));
    assert_eq!(notes(&bench), created);
    let told = bench.rootfs().join("told");
    assert!(!told.exists(), "it is not started");
    bench.ok(&["start", &id]);
    let inside: Value = serde_json::from_str(&fs::read_to_string(&told).unwrap()).unwrap();
    assert_eq!((&inside["id"], &inside["status"]), (&json!(id), &json!("created")));
    assert_eq!(inside["annotations"]["org.example.key"], "value");
    assert_eq!(notes(&bench)[3..], [format!("poststart running {pid}")]);
    bench.ok(&["kill", &id, "KILL"]);
    bench.wait_for_status(&id, "stopped");
    assert_eq!(notes(&bench).len(), 4, "what has stopped is not deleted yet");
    bench.ok(&["delete", &id]);
    let all = notes(&bench);
    assert!(all.len() == 5 && all[4].starts_with("poststop stopped"), "{all:?}");
}

#[test]
fn a_hook_of_the_containers_root_has_its_environment_or_its_own() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["sleep", "1000"]);
    spec["process"]["env"] = json!(["PATH=/bin", "OF=program"]);
    let hook =
        |file: &str| json!({ "path": "/bin/sh", "args": ["sh", "-c", format!("/bin/echo $OF $MINE > /{file}")] });
    let (inherits, mut own) = (hook("inherits"), hook("own"));
    own["env"] = json!(["MINE=hook"]);
    spec["hooks"] = json!({ "startContainer": [inherits, own] });
    bench.write(&spec);
    let id = bench.create("environment");
    bench.ok(&["start", &id]);
    let wrote = |file: &str| fs::read_to_string(bench.rootfs().join(file)).unwrap();
    assert_eq!((wrote("inherits").as_str(), wrote("own").as_str()), ("program\n", "hook\n"));
    bench.ok(&["delete", "--force", &id]);
}

#[test]
fn a_hook_that_fails_fails_its_command() {
    let bench = Bench::new();
    for (kind, at_create) in
        [("prestart", true), ("createRuntime", true), ("createContainer", true), ("startContainer", false)]
    {
        let mut spec = bench.spec(&["sh", "-c", "echo ran"]);
        spec["hooks"] = noted(&bench);
        spec["hooks"][kind] = json!([{ "path": "/bin/false" }]);
        bench.write(&spec);
        let id = bench.id(kind);
        let said = bench.with_files(&["create", &id], kind);
        let said = if at_create { said } else { bench.run(&["start", &id]) };
        let error = said.failed(1);
        assert!(error.contains(&format!("hooks.{kind}[0] /bin/false: it exited with 1")), "{error}");
        assert_eq!(bench.wrote(kind, "out"), "", "nothing runs");
        if !at_create {
            assert_eq!(bench.state(&id)["status"], "stopped");
            bench.ok(&["delete", &id]);
        }
        assert_eq!(bench.ok(&["list", "--quiet"]), "", "nothing is left");
        let last = notes(&bench).pop().unwrap();
        assert!(last.starts_with("poststop stopped"), "{last}");
    }
}
