use std::process::Stdio;

use wharf_e2e::Node;

#[test]
fn two_runp_with_one_configuration_at_once_give_one_pod() {
    let Some(node) = Node::start() else { return };
    let config = node.pod_config("twice", |_| {});
    let start =
        || node.crictl.command(&["runp", &config]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [start(), start(), start()].map(|child| child.wait_with_output().unwrap());
    let ids = both.each_ref().map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    assert!(both.iter().all(|out| out.status.success()), "{both:?}");
    assert!(!ids[0].is_empty() && ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
    assert_eq!(node.ok(&["pods", "-q"]), ids[0]);
    assert_eq!(node.ok(&["runp", &config]), ids[0], "also after it has succeeded");
    node.finish();
}

#[test]
fn another_configuration_under_the_same_name_is_refused_and_says_so() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("same");
    let other = node.pod_config("same", |c| c["labels"]["more"] = "yes".into());
    let said = node.fails(&["runp", &other]);
    assert!(said.contains("AlreadyExists") && said.contains("same"), "{said}");
    assert_eq!(node.ok(&["pods", "-q"]), pod.id);
    node.finish();
}

#[test]
fn creating_a_container_twice_gives_the_same_container() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("create");
    let config = node.container_config("main", "exec sleep 1000", |_| {});
    let first = node.ok(&["create", &pod.id, &config, &pod.config]);
    assert_eq!(node.ok(&["create", &pod.id, &config, &pod.config]), first);
    assert_eq!(node.ok(&["ps", "-a", "-q"]), first);
    node.finish();
}

#[test]
fn stopping_and_removing_twice_succeeds() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("twice");
    let id = node.run(&pod, "main", "exec sleep 1000");
    for _ in 0..2 {
        node.ok(&["stop", "--timeout", "0", &id]);
    }
    node.ok(&["rm", &id]);
    for _ in 0..2 {
        node.ok(&["stopp", &pod.id]);
    }
    node.ok(&["rmp", &pod.id]);
    node.finish();
}

#[test]
fn removing_a_pod_takes_its_containers_along() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("whole");
    node.run(&pod, "one", "exec sleep 1000");
    node.run(&pod, "two", "exec sleep 1000");
    node.create(&pod, "never-started", "true", |_| {});
    node.ok(&["rmp", "-f", &pod.id]);
    assert_eq!(node.ok(&["ps", "-a", "-q"]), "");
    node.finish();
}

#[test]
fn an_id_may_be_shortened() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("short");
    let id = node.run(&pod, "main", "exec sleep 1000");
    assert_eq!(node.status(&id[..12])["id"], id.as_str());
    assert_eq!(node.ok(&["exec", "-s", &id[..12], "echo", "hi"]), "hi");
    assert_eq!(node.json(&["inspectp", &pod.id[..12]])["status"]["id"], pod.id.as_str());
    node.ok(&["stop", "--timeout", "0", &id[..12]]);
    node.ok(&["rm", &id[..12]]);
    node.ok(&["stopp", &pod.id[..12]]);
    node.ok(&["rmp", &pod.id[..12]]);
    node.finish();
}
