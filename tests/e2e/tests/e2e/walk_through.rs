use wharf_e2e::Node;

#[test]
fn every_verb_of_the_walk_through_answers_and_nothing_is_left() {
    let Some(node) = Node::empty() else { return };
    let image = Node::image();
    node.ok(&["pull", &image]);
    let images = node.json(&["images"]);
    let tags = &images["images"][0]["repoTags"];
    assert_eq!(tags[0], image.as_str(), "{images:#}");
    let digest = images["images"][0]["repoDigests"][0].as_str().unwrap();
    assert!(digest.starts_with("images.test/busybox@sha256:"), "{digest}");

    let pod = node.pod("walk");
    let container = node.create(&pod, "main", "echo out; echo err >&2; exec sleep 1000", |c| {
        c["labels"] = serde_json::json!({ "role": "main" });
    });
    assert_eq!(node.status(&container)["state"], "CONTAINER_CREATED");
    node.ok(&["start", &container]);
    node.wait_log(&container, "err");
    assert_eq!(node.exec(&container, "echo $((6 * 7)); hostname"), "42\nwalk");

    let ps = node.json(&["ps"]);
    assert_eq!(ps["containers"][0]["id"], container.as_str(), "{ps:#}");
    assert_eq!(ps["containers"][0]["state"], "CONTAINER_RUNNING");
    let pods = node.json(&["pods"]);
    assert_eq!(
        (&pods["items"][0]["id"], &pods["items"][0]["state"]),
        (&pod.id.as_str().into(), &"SANDBOX_READY".into()),
        "{pods:#}"
    );

    let status = node.status(&container);
    assert_eq!(status["image"]["image"], image.as_str(), "the name the user gave: {status:#}");
    assert_eq!(status["labels"]["role"], "main");
    assert!(status["logPath"].as_str().unwrap().ends_with("/logs/walk/main.log"), "{status:#}");
    let by_id = status["imageId"].as_str().unwrap().to_owned();
    let named = node.create(&pod, "named", "exec sleep 1000", |c| c["image"]["image"] = by_id.clone().into());
    let shown = node.status(&named);
    assert_eq!(shown["image"]["image"], image.as_str(), "the kubelet asks by the id, people read this: {shown:#}");
    node.ok(&["rm", &named]);
    let inspected = node.json(&["inspectp", &pod.id]);
    let (task, shim) = (&inspected["info"]["pid"], &inspected["info"]["shimPid"]);
    assert!(task.as_u64() > Some(0) && shim.as_u64() > Some(0), "{inspected:#}");
    assert_eq!(inspected["status"]["metadata"]["name"], "walk", "{inspected:#}");

    node.ok(&["stop", "--timeout", "0", &container]);
    assert_eq!(node.status(&container)["state"], "CONTAINER_EXITED");
    assert_eq!(node.ok(&["ps", "-q"]), "", "ps shows running containers only");
    assert_eq!(node.ok(&["ps", "-a", "-q"]), container);
    node.ok(&["rm", &container]);
    node.ok(&["stopp", &pod.id]);
    assert_eq!(node.json(&["pods"])["items"][0]["state"], "SANDBOX_NOTREADY");
    node.ok(&["rmp", &pod.id]);
    node.ok(&["rmi", &image]);
    assert_eq!(node.ok(&["images", "-q"]), "");
    assert_eq!(node.ok(&["pods", "-q"]), "");
    node.finish();
}

#[test]
fn the_daemon_says_who_it_is_and_that_it_is_ready() {
    let Some(node) = Node::empty() else { return };
    let version = node.ok(&["version"]);
    assert!(version.contains("RuntimeName:  wharf") && version.contains("RuntimeApiVersion:  v1"), "{version}");
    let info = node.json(&["info"]);
    let ready = info["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "RuntimeReady").unwrap();
    assert_eq!(ready["status"], true, "{info:#}");
    assert_eq!(info["lastCNILoadStatus"], "OK", "{info:#}");
    node.finish();
}

#[test]
fn a_requests_id_is_in_the_daemons_log_and_in_its_shims() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("traced");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let shim = std::fs::read_to_string(node.daemon.state().join("pods").join(&pod.id).join("log")).unwrap();
    let lines: Vec<serde_json::Value> = shim.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let requests: std::collections::BTreeSet<_> =
        lines.iter().filter_map(|l| l["request"].as_str()).filter(|r| !r.is_empty()).collect();
    assert!(requests.len() >= 2, "runp and start of {id} have ids of their own: {shim}");
    let log = std::fs::read_to_string(node.daemon.log_path()).unwrap();
    for request in requests {
        assert!(log.contains(request), "{request} is not in the daemon's log");
    }
    node.finish();
}
