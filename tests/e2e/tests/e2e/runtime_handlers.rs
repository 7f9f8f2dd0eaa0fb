//! Pods whose containers another program makes: Debian's runc, crun and shim of runc, our own command line, our own shim.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use wharf_e2e::{Node, Pod};
use wharf_testkit::{Daemon, DaemonOptions, Process, need, processes, unpacked_package, wait_for};

use crate::terminal::Terminal;

const PATIENCE: Duration = Duration::from_secs(60);

/// A node with a handler `other` beside `native`, and an image.
fn node(path: &Path) -> Option<Node> {
    node_with(&format!("type = \"oci\"\npath = {path:?}\n"))
}

/// Debian's shim of runc, and Debian's runc.
fn node_with_shim() -> Option<Node> {
    let shim = need(unpacked_package("containerd"))?.join("usr/bin/containerd-shim-runc-v2");
    node_with(&format!("type = \"shim\"\npath = {shim:?}\nbinary = {:?}\n", runc()?))
}

fn node_with(handler: &str) -> Option<Node> {
    let config = format!("[runtimes.other]\n{handler}");
    let node = Node::with(DaemonOptions { config, ..DaemonOptions::default() })?;
    node.ok(&["pull", &Node::image()]);
    Some(node)
}

fn runc() -> Option<PathBuf> {
    Some(need(unpacked_package("runc"))?.join("usr/sbin/runc"))
}

/// Debian's crun with the library that Debian puts beside it.
fn crun(folder: &tempfile::TempDir) -> Option<PathBuf> {
    let crun = need(unpacked_package("crun"))?.join("usr/bin/crun");
    let library = need(unpacked_package("libyajl2"))?.join("usr/lib/x86_64-linux-gnu");
    let script = folder.path().join("crun");
    let text = format!("#!/bin/sh\nLD_LIBRARY_PATH={} exec {} \"$@\"\n", library.display(), crun.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Some(script)
}

/// The daemon's binary under the name by which it is an OCI runtime.
fn wharf_oci(folder: &tempfile::TempDir) -> PathBuf {
    let link = folder.path().join("wharf-oci");
    symlink(Daemon::bin_dir().unwrap().join("wharf"), &link).unwrap();
    link
}

fn pod(node: &Node, name: &str, change: impl FnOnce(&mut Value)) -> Pod {
    let config = node.pod_config(name, change);
    let logs = node.daemon.scratch().join("test/logs").join(name);
    Pod { id: node.ok(&["runp", "--runtime", "other", &config]), config, logs }
}

/// All that a pod is used for. The other program keeps its state in this folder of the pod's.
fn a_whole_life(node: &mut Node, kept: &str) {
    let pod = pod(node, "other", |pod| pod["linux"] = json!({ "sysctls": { "net.ipv4.ip_forward": "1" } }));
    let script = "echo out; echo err >&2; while [ ! -e /end ]; do sleep 0.05; done; exit 7";
    let id = node.run(&pod, "main", script);
    node.wait_log(&id, "err");
    let state = node.daemon.state().join("pods").join(&pod.id).join(kept).join(&id);
    assert!(state.is_dir(), "it is the other program's");
    assert_eq!(node.exec(&id, "hostname; cat /proc/sys/net/ipv4/ip_forward"), "other\n1");
    let status = &node.json(&["inspectp", &pod.id])["status"];
    assert_eq!(status["runtimeHandler"], "other", "{status:#}");
    execs(node, &id);

    // What the pod's containers have in common, and who they run as.
    node.exec(&id, "echo shared > /dev/shm/file");
    let script = "cat /dev/shm/file; id; trap 'exit 5' TERM; while :; do sleep 0.05; done";
    let second = node.run_with(&pod, "second", script, |container| {
        container["linux"] = json!({
            "security_context": { "run_as_username": "www-data" },
            "resources": { "memory_limit_in_bytes": 104_857_600 },
        });
    });
    let log = node.wait_log(&second, "groups=");
    assert!(log.starts_with("shared\n") && log.contains("uid=33(www-data)") && log.contains("50(staff)"), "{log}");
    assert!(node.exec(&second, "id").contains("uid=33(www-data)"), "an exec is the same user");
    let network = |id: &str| fs::read_link(format!("/proc/{}/ns/net", node.pid(id))).unwrap();
    assert_eq!(network(&id), network(&second));
    limits(node, &second);

    node.daemon.kill().unwrap();
    node.daemon.launch().unwrap();
    assert_eq!(node.exec(&id, "echo still here"), "still here");
    // It may end the container before it has ended itself.
    let _ = node.crictl.run(&["exec", "-s", &id, "touch", "/end"]);
    assert_eq!(node.exit_code(&id), 7);
    assert_eq!(node.log(&id), "out\nerr\n");
    node.ok(&["stop", "--timeout", "30", &second]);
    assert_eq!(node.exit_code(&second), 5, "it was asked to end, and did");
    node.ok(&["rm", &id]);
    assert!(!state.exists(), "the other program has forgotten it, too");

    let stubborn = node.run(&pod, "stubborn", "trap '' TERM; while :; do sleep 0.05; done");
    node.ok(&["stop", "--timeout", "0", &stubborn]);
    assert_eq!(node.exit_code(&stubborn), 137);

    let bad = node.create(&pod, "bad", "", |container| container["command"] = json!(["/nowhere"]));
    let error = node.fails(&["start", &bad]).to_lowercase();
    assert!(error.contains("/nowhere") && error.contains("no such file or directory"), "{error}");
    assert_eq!(node.status(&bad)["reason"], "StartError");
}

/// Synchronous, streamed, on a terminal, and what cannot be executed.
fn execs(node: &Node, id: &str) {
    assert!(node.fails(&["exec", "-s", id, "sh", "-c", "exit 9"]).contains('9'));
    let error = node.fails(&["exec", "-s", id, "nowhere"]);
    assert!(error.contains("executable file") && error.contains("not found in $PATH"), "{error}");
    assert_eq!(node.ok(&["exec", id, "sh", "-c", "echo streamed"]), "streamed");
    assert!(node.fails(&["exec", id, "sh", "-c", "exit 11"]).contains("11"));
    let mut terminal = Terminal::open(33, 99);
    let mut child = terminal.run(&mut node.crictl.command(&["exec", "-it", id, "sh"]));
    terminal.wait("# ");
    terminal.say("tty; stty size\n");
    terminal.wait("/dev/pts/");
    terminal.wait("33 99");
    terminal.resize(&child, 44, 111);
    let told = wait_for(PATIENCE, || {
        terminal.say("stty size\n");
        terminal.seen_within("44 111", Duration::from_millis(500))
    });
    assert!(told, "{}", terminal.text());
    terminal.say("exit 3\n");
    let mut ended = None;
    assert!(wait_for(PATIENCE, || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    }));
    assert!(!ended.unwrap().success(), "{}", terminal.text());
}

/// What it uses, and what it may use.
fn limits(node: &Node, id: &str) {
    let mut stats = Value::Null;
    let told = wait_for(PATIENCE, || {
        stats = node.json(&["stats", "--id", id, "-s", "1"])["stats"][0].clone();
        stats["memory"]["workingSetBytes"]["value"].as_str().is_some_and(|bytes| bytes != "0")
    });
    assert!(told, "{stats:#}");
    node.ok(&["update", "--memory", "209715200", id]);
    let seen =
        node.exec(id, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true");
    assert_eq!(seen.trim(), "209715200");
    assert_eq!(node.status(id)["resources"]["linux"]["memoryLimitInBytes"], "209715200");
}

#[test]
fn pods_run_with_debians_runc() {
    let Some(runc) = runc() else { return };
    let Some(mut node) = node(&runc) else { return };
    a_whole_life(&mut node, "oci");
    node.finish();
}

/// It takes no node whose control groups v2 have a controller beside v1: there its own words are told.
#[test]
fn pods_run_with_debians_crun() {
    let folder = tempfile::tempdir().unwrap();
    let Some(crun) = crun(&folder) else { return };
    let Some(mut node) = node(&crun) else { return };
    if fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers").is_ok_and(|all| !all.trim().is_empty()) {
        let pod = pod(&node, "hybrid", |_| {});
        let id = node.create(&pod, "main", "exec sleep 1000", |_| {});
        let error = node.fails(&["start", &id]);
        assert!(error.contains("crun create: cgroups in hybrid mode not supported"), "{error}");
        return node.finish();
    }
    a_whole_life(&mut node, "oci");
    node.finish();
}

#[test]
fn pods_run_with_our_own_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut node) = node(&wharf_oci(&folder)) else { return };
    a_whole_life(&mut node, "oci");
    node.finish();
}

#[test]
fn a_runtime_is_told_of_the_annotations_that_it_is_configured_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = wharf_oci(&folder);
    let Some(node) = node_with(&format!("type = \"oci\"\npath = {path:?}\npod_annotations = [\"run.oci.*\"]\n")) else {
        return;
    };
    let pod = pod(&node, "told", |c| c["annotations"] = json!({ "run.oci.keep": "1", "other": "no" }));
    let id = node.run(&pod, "main", "exec sleep 1000");
    let root = node.daemon.state().join("pods").join(&pod.id).join("oci");
    let said = Command::new(&path).arg("--root").arg(root).args(["state", &id]).output().unwrap();
    let state: Value = serde_json::from_slice(&said.stdout).unwrap();
    let told = &state["annotations"];
    assert_eq!((&told["run.oci.keep"], &told["other"]), (&json!("1"), &Value::Null), "{state:#}");
    node.finish();
}

#[test]
fn a_terminal_of_another_runtime_s_container_is_in_its_log() {
    let Some(runc) = runc() else { return };
    let Some(node) = node(&runc) else { return };
    let pod = pod(&node, "tty", |_| {});
    let id = node
        .run_with(&pod, "main", "tty; echo on a terminal; exec sleep 1000", |container| container["tty"] = json!(true));
    let log = node.wait_log(&id, "on a terminal");
    assert!(log.contains("/dev/pts/0"), "{log}");
    node.finish();
}

#[test]
fn what_a_killed_shim_of_another_runtime_leaves_is_taken_away() {
    let Some(runc) = runc() else { return };
    let Some(node) = node(&runc) else { return };
    let pod = pod(&node, "lost", |_| {});
    let id = node.run(&pod, "main", "exec sleep 1000");
    let shim = fs::read_to_string(node.daemon.state().join("pods").join(&pod.id).join("shim.pid")).unwrap();
    kill(Pid::from_raw(shim.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    let gone = || node.json(&["pods", "--id", &pod.id])["items"][0]["state"] == "SANDBOX_NOTREADY";
    assert!(wait_for(PATIENCE, gone));
    assert_eq!(node.status(&id)["state"], "CONTAINER_EXITED");
    node.finish();
}

#[test]
fn handlers_are_told_with_what_they_can_and_others_are_refused() {
    let Some(runc) = runc() else { return };
    let Some(node) = node(&runc) else { return };
    let info = node.json(&["info"]);
    let of = |name: &str| {
        let handlers = info["runtimeHandlers"].as_array().unwrap();
        let found = handlers.iter().find(|handler| handler["name"].as_str().unwrap_or_default() == name);
        found.unwrap_or_else(|| panic!("{name}: {info:#}"))["features"].clone()
    };
    assert_eq!(of(""), of("native"));
    // Debian's runc knows recursive read-only mounts; user namespaces are the native handler's alone.
    assert_eq!(of("other")["recursive_read_only_mounts"], true, "{info:#}");
    assert_ne!(of("other")["user_namespaces"], true, "{info:#}");
    let error = node.fails(&["runp", "--runtime", "kata", &node.pod_config("kata", |_| {})]);
    assert!(
        error.contains("no runtime for") && ["kata", "native", "other"].iter().all(|name| error.contains(name)),
        "{error}"
    );
    let mappings = json!([{ "host_id": 100_000, "container_id": 0, "length": 65_536 }]);
    let config = node.pod_config("users", |pod| {
        pod["linux"] = json!({ "security_context": { "namespace_options": {
            "userns_options": { "mode": 0, "uids": mappings, "gids": mappings } } } });
    });
    let error = node.fails(&["runp", "--runtime", "other", &config]);
    assert!(error.contains("user namespaces") && error.contains("native"), "{error}");
    node.finish();
}

#[test]
fn pods_run_with_debians_shim_of_runc() {
    let Some(mut node) = node_with_shim() else { return };
    a_whole_life(&mut node, "oci/k8s.io");
    node.finish();
}

/// Task v3 by a start that answers in JSON, and features by `-info`, which Debian's does not have.
#[test]
fn pods_run_with_our_own_shim_as_another() {
    let ours = Daemon::bin_dir().unwrap().join("containerd-shim-wharf-v1");
    let Some(debians) = need(unpacked_package("containerd")) else { return };
    let debians = debians.join("usr/bin/containerd-shim-runc-v2");
    let handlers = format!("type = \"shim\"\npath = {ours:?}\n[runtimes.mute]\ntype = \"shim\"\npath = {debians:?}\n");
    let Some(mut node) = node_with(&handlers) else { return };
    let info = node.json(&["info"]);
    let readonly = |name: &str| {
        let handlers = info["runtimeHandlers"].as_array().unwrap();
        let found = handlers.iter().find(|handler| handler["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {info:#}"))["features"]["recursive_read_only_mounts"] == true
    };
    assert_eq!(readonly("other"), readonly("native"), "{info:#}");
    assert!(!readonly("mute"), "what cannot be asked is not said to know it: {info:#}");
    a_whole_life(&mut node, "containers");
    node.finish();
}

#[test]
fn a_terminal_of_another_shim_s_container_is_in_its_log_and_can_be_typed_on() {
    let Some(node) = node_with_shim() else { return };
    let pod = pod(&node, "tty", |_| {});
    let script = "tty; echo on a terminal; read line; echo heard $line; exec sleep 1000";
    let id = node.run_with(&pod, "main", script, |container| {
        container["tty"] = json!(true);
        container["stdin"] = json!(true);
    });
    assert!(node.wait_log(&id, "on a terminal").contains("/dev/pts/0"));
    let mut terminal = Terminal::open(24, 80);
    let mut child = terminal.run(&mut node.crictl.command(&["attach", "-it", &id]));
    let heard = wait_for(PATIENCE, || {
        terminal.say("you\n");
        node.log(&id).contains("heard you")
    });
    assert!(heard, "{}", node.log(&id));
    child.kill().unwrap();
    child.wait().unwrap();
    node.finish();
}

/// One shim of theirs a pod; when it or ours is killed, its containers have ended, and nothing is left.
#[test]
fn what_a_killed_other_shim_leaves_is_taken_away() {
    let Some(node) = node_with_shim() else { return };
    for (name, ours) in [("theirs", false), ("both", true)] {
        let pod = pod(&node, name, |_| {});
        let ids = [node.run(&pod, "main", "exec sleep 1000"), node.run(&pod, "second", "exec sleep 1000")];
        let theirs = || {
            let of_pod = |process: &Process| {
                process.command.contains("containerd-shim-runc-v2") && process.command.contains(&pod.id)
            };
            processes().into_iter().filter(of_pod).map(|process| process.pid).collect::<Vec<_>>()
        };
        assert_eq!(theirs().len(), 1, "{name}: one for both containers");
        let killed = if ours {
            let shim = fs::read_to_string(node.daemon.state().join("pods").join(&pod.id).join("shim.pid")).unwrap();
            shim.trim().parse().unwrap()
        } else {
            theirs()[0]
        };
        kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
        for id in &ids {
            assert_ne!(node.exit_code(id), 0, "{name}");
        }
        node.ok(&["stopp", &pod.id]);
        assert!(wait_for(PATIENCE, || theirs().is_empty()), "{name}: {:?}", theirs());
        node.ok(&["rmp", &pod.id]);
    }
    node.finish();
}

#[test]
fn another_shim_that_cannot_be_is_named() {
    let Some(node) = node_with("type = \"shim\"\npath = \"/bin/false\"\n") else { return };
    let pod = pod(&node, "none", |_| {});
    let id = node.create(&pod, "main", "exec sleep 1000", |_| {});
    let error = node.fails(&["start", &id]);
    assert!(error.contains("/bin/false start"), "{error}");
    node.finish();
}
