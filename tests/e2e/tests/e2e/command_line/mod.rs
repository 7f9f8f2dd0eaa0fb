//! `wharf`'s own verbs, as people type them.

mod images;
mod output;
mod pods;
mod sockets;

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use wharf_e2e::Node;

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

fn parsed(node: &Node, arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(node, arguments)).unwrap()
}

/// Its exit code and what it said.
fn fails(node: &Node, arguments: &[&str]) -> (i32, String) {
    let out = wharf(node, arguments);
    assert!(!out.status.success(), "wharf {arguments:?}");
    (out.status.code().unwrap(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn the_node_is_explained() {
    let Some(node) = Node::empty() else { return };
    let info = parsed(&node, &["info", "--json"]);
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
