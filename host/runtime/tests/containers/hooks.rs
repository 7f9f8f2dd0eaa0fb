use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::support::{Sandbox, pipes, push};

/// A script of the node's that can be run as a hook.
fn script(sandbox: &Sandbox, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = sandbox.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Appends its kind, whose namespaces it is in, and the state it is told.
fn noting(sandbox: &Sandbox) -> PathBuf {
    let notes = sandbox.path().join("notes");
    let text = format!("echo \"$1 $TOLD $(readlink /proc/self/ns/mnt) $(cat)\" >> {}", notes.display());
    script(sandbox, "noting", &text)
}

fn hook(path: &PathBuf, kind: &str) -> Value {
    json!({ "path": path, "args": ["noting", kind], "env": ["TOLD=yes", "PATH=/usr/bin:/bin"], "timeout": 30 })
}

fn notes(sandbox: &Sandbox) -> Vec<(String, String, String, Value)> {
    let text = fs::read_to_string(sandbox.path().join("notes")).unwrap_or_default();
    let parse = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap().to_owned();
        (next(), next(), next(), serde_json::from_str(&next()).unwrap())
    };
    text.lines().map(parse).collect()
}

#[test]
fn each_hook_runs_at_its_turn_in_its_place_and_knows_the_state() {
    let sandbox = Sandbox::new();
    let noting = noting(&sandbox);
    let own = "#!/bin/sh\necho \"start $(cat) $(id -u) $(grep CapEff /proc/self/status | tr -d '\\t')\" > /started\n";
    fs::write(sandbox.lower("bin/own"), own).unwrap();
    fs::set_permissions(sandbox.lower("bin/own"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir_all(sandbox.upper("")).unwrap();
    let mut spec = sandbox.spec(&["sh", "-c", "cat /started; exec sleep 1000"]);
    spec["annotations"] = json!({ "a": "b" });
    spec["hooks"] = json!({
        "prestart": [hook(&noting, "prestart"), hook(&noting, "prestart2")],
        "createRuntime": [hook(&noting, "createRuntime")],
        "createContainer": [hook(&noting, "createContainer")],
        "startContainer": [{ "path": "/bin/own", "env": ["PATH=/bin"] }],
        "poststart": [hook(&noting, "poststart")],
        "poststop": [hook(&noting, "poststop")],
    });
    let (stdio, pipes) = pipes();
    let container = sandbox.create(&spec, stdio).unwrap();
    let kinds = |notes: &[(String, String, String, Value)]| notes.iter().map(|n| n.0.clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&notes(&sandbox)), ["prestart", "prestart2", "createRuntime", "createContainer"]);
    let inside = fs::read_link(format!("/proc/{}/ns/mnt", container.pid())).unwrap();
    container.start().unwrap();
    let bundle = sandbox.path().join("bundle");
    container.kill(libc::SIGKILL).unwrap();
    let said = pipes.wait(container.pidfd()).stdout;
    assert_eq!(container.run_poststop(), Vec::<String>::new());

    let told = notes(&sandbox);
    assert_eq!(kinds(&told[4..]), ["poststart", "poststop"]);
    let ours = fs::read_link("/proc/self/ns/mnt").unwrap();
    for ((kind, environment, namespace, state), status) in
        told.iter().zip(["creating", "creating", "creating", "creating", "running", "stopped"])
    {
        assert_eq!(environment, "yes");
        let place = if kind == "createContainer" { &inside } else { &ours };
        assert_eq!(namespace, &place.to_string_lossy(), "{kind}");
        let mut wanted = json!({ "ociVersion": "1.2.0", "id": "test", "status": status, "pid": container.pid(),
            "bundle": bundle, "annotations": { "a": "b" } });
        if kind == "poststop" {
            wanted.as_object_mut().unwrap().remove("pid");
        }
        assert_eq!(*state, wanted, "{kind}");
    }
    let started = fs::read_to_string(sandbox.upper("started")).unwrap();
    assert!(started.starts_with("start {") && started.contains("\"status\":\"created\""), "{started}");
    assert!(started.ends_with(" 0 CapEff:00000000a80425fb\n"), "as the container's process: {started}");
    assert!(said.is_empty() || said == started, "{said}");
}

#[test]
fn create_container_hooks_see_the_root_before_it_is_the_container_s() {
    let sandbox = Sandbox::new();
    let rootfs = sandbox.path().join("bundle/rootfs");
    let text = format!("echo hooked > {}/etc/hooked; hostname > {}/etc/name", rootfs.display(), rootfs.display());
    let path = script(&sandbox, "into", &text);
    let mut spec = sandbox.spec(&["cat", "/etc/hooked", "/etc/name"]);
    spec["hooks"] = json!({ "createContainer": [{ "path": path, "env": ["PATH=/usr/bin:/bin"] }] });
    assert_eq!(sandbox.run(&spec).ok(), "hooked\ninside");
    assert!(!rootfs.join("etc").exists(), "it was in the container's mounts alone");
}

#[test]
fn a_user_namespace_s_container_has_hooks_too() {
    let sandbox = Sandbox::new();
    let noting = noting(&sandbox);
    let mut spec = sandbox.spec(&["cat", "/started"]);
    push(&mut spec["linux"]["namespaces"], json!({ "type": "user" }));
    let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    spec["linux"]["uidMappings"] = mapping.clone();
    spec["linux"]["gidMappings"] = mapping;
    spec["hooks"] = json!({
        "createRuntime": [hook(&noting, "createRuntime")],
        "createContainer": [hook(&noting, "createContainer")],
        "startContainer": [{ "path": "/bin/sh", "args": ["sh", "-c", "cat /proc/self/uid_map > /started"] }],
    });
    let said = sandbox.run(&spec).ok();
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    assert_eq!(notes(&sandbox).len(), 2);
}

#[test]
fn a_hook_that_fails_ends_what_it_is_about() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let sandbox = Sandbox::new();
        let fails = script(&sandbox, "fails", "echo some words; echo more >&2; exit 3");
        let mut spec = sandbox.spec(&["true"]);
        spec["hooks"] = json!({ kind: [{ "path": fails }, { "path": "/never" }] });
        let error = sandbox.refusal(&spec).to_string();
        let told = format!(
            "container test: hooks.{kind}[0] {}: it exited with 3: some words\nmore",
            sandbox.path().join("fails").display()
        );
        assert_eq!(error, told);
    }
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["touch", "/ran"]);
    spec["hooks"] = json!({ "startContainer": [{ "path": "/bin/false" }] });
    let (error, _) = sandbox.start_error(&spec);
    assert_eq!(error, "container test: hooks.startContainer[0] /bin/false: it exited with 1");
    assert!(!sandbox.upper("ran").exists());

    let mut spec = sandbox.spec(&["sleep", "1000"]);
    spec["hooks"] = json!({ "poststart": [{ "path": "/no/such/hook" }] });
    let (error, code) = sandbox.start_error(&spec);
    assert!(error.starts_with("container test: hooks.poststart[0] /no/such/hook: exec: "), "{error}");
    assert_eq!(code, 128 + libc::SIGKILL);
}

#[test]
fn a_hook_of_the_end_fails_alone() {
    let sandbox = Sandbox::new();
    let noting = noting(&sandbox);
    let mut spec = sandbox.spec(&["true"]);
    spec["hooks"] = json!({ "poststop": [{ "path": "/no/such/hook" }, hook(&noting, "poststop")] });
    let (stdio, pipes) = pipes();
    let container = sandbox.create(&spec, stdio).unwrap();
    container.start().unwrap();
    pipes.wait(container.pidfd()).ok();
    let failed = container.run_poststop();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].starts_with("hooks.poststop[0] /no/such/hook"), "{failed:?}");
    assert_eq!(notes(&sandbox).len(), 1);
}

#[test]
fn a_hook_has_its_time_and_no_more() {
    let sandbox = Sandbox::new();
    let slow = script(&sandbox, "slow", "exec sleep 1000");
    let mut spec = sandbox.spec(&["true"]);
    spec["hooks"] = json!({ "createRuntime": [{ "path": slow, "env": ["PATH=/usr/bin:/bin"], "timeout": 1 }] });
    let error = sandbox.refusal(&spec).to_string();
    assert!(error.ends_with("it did not end within 1 seconds, and was killed"), "{error}");
}

#[test]
fn odd_hooks_are_refused_before_anything_is_made() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    for (hook, words) in [
        (json!({ "path": "relative" }), "hooks.poststop[0] relative: its path is not absolute"),
        (json!({ "path": "/x", "timeout": 0 }), "hooks.poststop[0] /x: its timeout 0 is not above zero"),
    ] {
        spec["hooks"] = json!({ "poststop": [hook] });
        assert_eq!(sandbox.refusal(&spec).to_string(), format!("container test: {words}"));
    }
}
