//! Standard output that nobody reads, or that has no space.

use std::process::Stdio;

use serde_json::json;
use wharf_e2e::Node;
use wharf_testkit::{closed_output, full_output};

use super::{ok, parsed};

#[test]
fn nobody_who_reads_on_is_no_failure_and_a_full_disk_is_one() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("output");
    let id = node.run(&pod, "main", "echo one; echo two; exec sleep 1000");
    node.wait_log(&id, "two");
    let (image, other) = (Node::image(), "images.test/odd:1");
    let run = |arguments: &[&str], stdout: Stdio| {
        let out = node.daemon.wharf(arguments).stdout(stdout).stderr(Stdio::piped()).output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    for arguments in [
        &["version"][..],
        &["version", "--json"],
        &["config", "default"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["completions", "bash"],
        &["oci", "features"],
        &["info"],
        &["info", "--json"],
        &["plugin", "ls"],
        &["plugin", "ls", "--json"],
        &["ps"],
        &["ps", "-q"],
        &["ps", "--json"],
        &["pods"],
        &["pods", "-q"],
        &["pods", "--json"],
        &["images"],
        &["images", "-q"],
        &["images", "--json"],
        &["snapshots"],
        &["snapshots", "--json"],
        &["inspect", &id],
        &["inspect", &id, &pod.id],
        &["logs", &id],
        &["pull", &image],
        &["pull", "-q", &image],
        &["pull", "--json", &image],
    ] {
        assert_eq!(run(arguments, closed_output().unwrap()), (Some(0), String::new()), "{arguments:?}");
        let (code, said) = run(arguments, full_output().unwrap());
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains("write to standard output: No space left on device"), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    }
    let (code, said) = run(&["exec", &id, "sh", "-c", "while echo again; do :; done"], closed_output().unwrap());
    assert_eq!((code, said.as_str()), (Some(141), ""), "its command was cut off");
    let (code, said) = run(&["exec", &id, "echo", "once"], full_output().unwrap());
    assert!(code == Some(125) && said.contains("write to standard output: No space left"), "{code:?}: {said}");
    // What was asked for is done all the same.
    assert_eq!(run(&["pull", "--json", other], closed_output().unwrap()).0, Some(0));
    assert_eq!(parsed(&node, &["images", "--json", other]).as_array().unwrap().len(), 1);
    ok(&node, &["pull", "images.test/user:numeric"]);
    assert_eq!(run(&["rmi", other, "images.test/user:numeric"], closed_output().unwrap()).0, Some(0));
    assert_eq!(parsed(&node, &["images", "--json"])[0]["tags"], json!([image]), "both are gone");
    assert_eq!(parsed(&node, &["images", "--json"]).as_array().unwrap().len(), 1, "both are gone");
    // Who cannot be told of an error hears nothing, and the exit code stays what it is.
    let mut silent = node.daemon.wharf(&["inspect", "nothing"]);
    assert_eq!(
        silent.stdout(closed_output().unwrap()).stderr(closed_output().unwrap()).status().unwrap().code(),
        Some(4)
    );
    node.finish();
}
