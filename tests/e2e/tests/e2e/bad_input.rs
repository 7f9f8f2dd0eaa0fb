use serde_json::json;
use wharf_e2e::Node;

#[test]
fn an_image_that_is_nowhere_is_named_in_the_error() {
    let Some(node) = Node::empty() else { return };
    let said = node.fails(&["pull", "images.test/nowhere:1"]);
    assert!(said.contains("images.test/nowhere:1") && said.contains("NotFound"), "{said}");
    let said = node.fails(&["pull", "images.test/Not A Name"]);
    assert!(said.contains("InvalidArgument"), "{said}");
    node.finish();
}

#[test]
fn a_container_of_an_image_that_was_not_pulled_is_refused() {
    let Some(node) = Node::empty() else { return };
    let pod = node.pod("no-image");
    let config = node.container_config("main", "true", |_| {});
    let said = node.fails(&["create", &pod.id, &config, &pod.config]);
    assert!(said.contains("NotFound") && said.contains("busybox"), "{said}");
    assert_eq!(node.ok(&["ps", "-a", "-q"]), "");
    node.finish();
}

#[test]
fn a_command_that_is_not_there_is_a_start_error_with_code_128() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("start-error");
    for (name, command, words) in [
        ("absent", "/no/such/program", "no such file or directory"),
        ("not-in-path", "no-such-program", "executable file not found in $PATH"),
        ("no-program", "/etc/passwd", "permission denied"),
    ] {
        let id = node.create(&pod, name, "", |c| c["command"] = json!([command]));
        let said = node.fails(&["start", &id]);
        assert!(said.contains(command) && said.contains(words), "{name}: {said}");
        let status = node.status(&id);
        assert_eq!(status["state"], "CONTAINER_EXITED", "{status:#}");
        assert_eq!(
            (status["exitCode"].as_i64(), status["reason"].as_str()),
            (Some(128), Some("StartError")),
            "{status:#}"
        );
        assert!(status["message"].as_str().unwrap_or_default().contains(words), "{status:#}");
    }
    node.finish();
}

#[test]
fn a_runtime_handler_that_is_not_configured_is_named() {
    let Some(node) = Node::empty() else { return };
    let config = node.pod_config("handler", |_| {});
    let said = node.fails(&["runp", "--runtime", "kata", &config]);
    assert!(said.contains("kata"), "{said}");
    assert_eq!(node.ok(&["pods", "-q"]), "");
    node.finish();
}

#[test]
fn an_id_that_nobody_has_is_not_found() {
    let Some(node) = Node::empty() else { return };
    for arguments in
        [["inspect", "feedbeef"], ["inspectp", "feedbeef"], ["start", "feedbeef"], ["inspecti", "images.test/none:1"]]
    {
        let said = node.fails(&arguments);
        assert!(said.contains("feedbeef") || said.contains("none:1"), "{arguments:?}: {said}");
    }
    node.finish();
}

#[test]
fn a_bind_source_that_cannot_be_is_named_and_leaves_a_container_that_can_be_removed() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("bind");
    // A source that is missing is made a folder, as the kubelet's users know it; below a file there can be none.
    let source = format!("{}/no/such/folder", node.file("a-file", ""));
    let config = node.container_config("main", "true", |c| {
        c["mounts"] = json!([{ "host_path": source, "container_path": "/data" }]);
    });
    let created = node.crictl.run(&["create", &pod.id, &config, &pod.config]).unwrap();
    let said = if created.status.success() { node.fails(&["start", created.stdout.trim()]) } else { created.stderr };
    assert!(said.contains(&source), "{said}");
    node.finish();
}

#[test]
fn what_is_not_enforced_yet_is_refused_by_name_not_ignored() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("refused");
    let config = node.container_config("main", "true", |c| {
        c["linux"] = json!({ "security_context": { "apparmor": { "profile_type": 2, "localhost_ref": "strict" } } });
    });
    let created = node.crictl.run(&["create", &pod.id, &config, &pod.config]).unwrap();
    let said = if created.status.success() { node.fails(&["start", created.stdout.trim()]) } else { created.stderr };
    assert!(said.to_lowercase().contains("apparmor"), "{said}");
    node.finish();
}
