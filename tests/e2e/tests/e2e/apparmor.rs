use std::fs;

use serde_json::{Value, json};
use wharf_e2e::Node;
use wharf_testkit::{DaemonOptions, unpacked_package};

/// A process's profile, and what it may not do whatever its capabilities and mounts.
const CONFINED: &str =
    "cat /proc/self/attr/current; mount -t tmpfs x /tmp 2>&1; mount --bind /etc /tmp 2>&1; echo done";

fn ask(config: &mut Value, kind: i32, name: &str) {
    config["linux"] = json!({ "security_context": {
        "apparmor": { "profile_type": kind, "localhost_ref": name },
        "capabilities": { "add_capabilities": ["SYS_ADMIN"] },
    } });
}

/// A node with AppArmor, and the tool to load profiles.
fn node() -> Option<Node> {
    let enabled = fs::read("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if !enabled.starts_with(b"Y") {
        eprintln!("skipped: this kernel has no AppArmor");
        return None;
    }
    let package = wharf_testkit::need(unpacked_package("apparmor"))?;
    let path = format!("{}:{}", package.join("sbin").display(), std::env::var("PATH").unwrap_or_default());
    let node = Node::with(DaemonOptions { environment: vec![("PATH".into(), path)], ..DaemonOptions::default() })?;
    node.ok(&["pull", &Node::image()]);
    Some(node)
}

#[test]
fn the_default_profile_is_loaded_and_confines() {
    let Some(node) = node() else { return };
    let pod = node.pod("default");
    for (name, kind) in [("asked", Some(0)), ("unasked", None)] {
        let (said, _) = node.outcome(&pod, name, CONFINED, |config| {
            ask(config, kind.unwrap_or_default(), "");
            if kind.is_none() {
                config["linux"]["security_context"].as_object_mut().unwrap().remove("apparmor");
            }
        });
        assert!(said.starts_with("wharf-default (enforce)\n") && said.ends_with("done\n"), "{name}: {said}");
        assert_eq!(said.matches("Permission denied").count(), 2, "{name}: both are denied: {said}");
    }
    node.finish();
}

#[test]
fn a_privileged_container_is_confined_by_what_it_names_and_by_no_default() {
    let Some(node) = node() else { return };
    let pod = node.pod_with("privileged", |p| p["linux"] = json!({ "security_context": { "privileged": true } }));
    for (name, kind, profile, expected) in
        [("default", 0, "", "unconfined"), ("named", 2, "localhost/wharf-default", "wharf-default (enforce)")]
    {
        // The default profile is loaded by who asks for it.
        node.outcome(&pod, &format!("first-{name}"), "true", |c| ask(c, 0, ""));
        let (said, code) = node.outcome(&pod, name, "cat /proc/self/attr/current", |config| {
            ask(config, kind, profile);
            config["linux"]["security_context"]["privileged"] = true.into();
        });
        assert_eq!((said.trim(), code), (expected, 0), "{name}");
    }
    node.finish();
}

#[test]
fn unconfined_is_unconfined_and_a_profile_that_is_not_loaded_is_refused_by_name() {
    let Some(node) = node() else { return };
    let pod = node.pod("named");
    let (said, code) = node.outcome(&pod, "unconfined", "cat /proc/self/attr/current", |c| ask(c, 1, ""));
    assert_eq!((said.trim(), code), ("unconfined", 0));
    let config = node.container_config("missing", "true", |c| ask(c, 2, "localhost/no-such-profile"));
    let said = node.fails(&["create", &pod.id, &config, &pod.config]);
    // Quoted once by us and once more by crictl.
    assert!(said.contains("no-such-profile") && said.contains("is not loaded on this node"), "{said}");
    node.finish();
}
