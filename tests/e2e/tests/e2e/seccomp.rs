use serde_json::{Value, json};
use wharf_e2e::Node;

/// What a container's process says of its filter: 0 none, 2 one.
const MODE: &str = "grep '^Seccomp:' /proc/self/status | tr -d '\\t'";

fn profile(config: &mut Value, kind: i32, file: &str) {
    config["linux"] = json!({ "security_context": { "seccomp": { "profile_type": kind, "localhost_ref": file } } });
}

#[test]
fn the_default_profile_confines_a_container_and_its_execs() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("default");
    let id = node.run_with(&pod, "main", &format!("{MODE}; unshare -U true; exec sleep 1000"), |c| profile(c, 0, ""));
    let log = node.wait_log(&id, "Operation not permitted");
    assert!(log.contains("Seccomp:2"), "{log}");
    assert!(node.exec(&id, MODE).contains("Seccomp:2"));
    let tried = node.exec(&id, "unshare -U true 2>&1; true");
    assert!(tried.contains("Operation not permitted"), "{tried}");
    node.finish();
}

#[test]
fn who_asks_for_none_and_who_is_privileged_has_none() {
    let Some(node) = Node::start() else { return };
    let privileged = json!({ "security_context": { "privileged": true } });
    let pod = node.pod_with("none", |p| p["linux"] = privileged.clone());
    assert_eq!(node.outcome(&pod, "says-nothing", MODE, |_| {}).0, "Seccomp:0\n");
    assert_eq!(node.outcome(&pod, "unconfined", MODE, |c| profile(c, 1, "")).0, "Seccomp:0\n");
    let (said, code) = node.outcome(&pod, "privileged", MODE, |c| {
        profile(c, 0, "");
        c["linux"]["security_context"]["privileged"] = json!(true);
    });
    assert_eq!((said.as_str(), code), ("Seccomp:0\n", 0));
    node.finish();
}

#[test]
fn a_profile_of_the_node_s_is_loaded_and_a_missing_one_is_named() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("local");
    let text = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18 },
    ] });
    let file = node.file("no-folders.json", &text.to_string());
    for (name, old) in [("new", false), ("old", true)] {
        let (said, code) = node.outcome(&pod, name, "mkdir /new 2>&1", |c| {
            profile(c, 2, &file);
            if old {
                c["linux"] = json!({ "security_context": { "seccomp_profile_path": format!("localhost/{file}") } });
            }
        });
        assert!(said.contains("ross-device link") && code != 0, "{name}: {said}");
    }
    let config = node.container_config("missing", "true", |c| profile(c, 2, "/no/such/profile.json"));
    let said = node.fails(&["create", &pod.id, &config, &pod.config]);
    assert!(said.contains("/no/such/profile.json") && said.contains("No such file"), "{said}");
    node.finish();
}
