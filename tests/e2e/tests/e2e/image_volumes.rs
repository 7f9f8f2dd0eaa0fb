//! Images mounted into containers of other images.

use serde_json::{Value, json};
use wharf_e2e::Node;
use wharf_testkit::DaemonOptions;

const VOLUME: &str = "images.test/odd:1";

fn volume(path: &str, sub_path: &str) -> Value {
    json!({ "container_path": path, "image": { "image": VOLUME }, "image_sub_path": sub_path, "readonly": true })
}

#[test]
fn an_image_is_a_volume_that_nobody_can_write() {
    let Some(node) = Node::start() else { return };
    node.ok(&["pull", VOLUME]);
    let pod = node.pod("volumes");
    let script = "ls /vol | head -5; cat /vol/etc/passwd >/dev/null && echo read; touch /vol/x || echo refused; \
                  ls -d /sub/passwd; touch /sub/passwd || echo refused; exec sleep 1000";
    let id = node.run_with(&pod, "main", script, |config| {
        config["mounts"] = json!([volume("/vol", ""), volume("/sub", "etc")]);
    });
    let log = node.wait_log(&id, "/sub/passwd\n");
    assert!(log.contains("read\n") && log.matches("refused").count() >= 1, "{log}");
    assert!(log.contains("Read-only file system"), "{log}");
    let mounts = node.status(&id)["mounts"].clone();
    assert_eq!(mounts[0]["image"]["image"], VOLUME, "echoed: {mounts:#}");
    assert_eq!(mounts[1]["imageSubPath"], "etc", "{mounts:#}");
    // The image goes, its layers stay as long as they are mounted.
    node.ok(&["rmi", VOLUME]);
    assert!(!node.exec(&id, "cat /vol/etc/passwd").is_empty());
    node.ok(&["rm", "-f", &id]);
    node.finish();
}

#[test]
fn what_cannot_be_mounted_is_known_before_the_start() {
    let Some(node) = Node::start() else { return };
    node.ok(&["pull", VOLUME]);
    let pod = node.pod("missing");
    let create = |name: &str, mount: Value| {
        let config = node.container_config(name, "true", |config| config["mounts"] = json!([mount]));
        node.fails(&["create", &pod.id, &config, &pod.config])
    };
    let said = create("path", volume("/vol", "no/such"));
    assert!(said.contains("ImageVolumeMountFailed") && said.contains("no/such"), "{said}");
    let mut absent = volume("/vol", "");
    absent["image"]["image"] = json!("images.test/absent:1");
    let said = create("image", absent);
    assert!(said.contains("ImageVolumeMountFailed") && said.contains("absent"), "{said}");
    let said = create("out", volume("/vol", "../../etc"));
    assert!(said.contains("image_sub_path"), "{said}");
    assert_eq!(node.ok(&["ps", "-aq"]), "", "nothing is left of them");
    node.finish();
}

#[test]
fn views_are_gone_with_a_container_that_a_dead_daemon_was_removing() {
    let Some(mut node) = Node::with(DaemonOptions::default()) else { return };
    node.ok(&["pull", &Node::image()]);
    node.ok(&["pull", VOLUME]);
    let pod = node.pod("again");
    let id = node.run_with(&pod, "main", "ls /vol; exec sleep 1000", |config| {
        config["mounts"] = json!([volume("/vol", "")]);
    });
    node.daemon.kill().unwrap();
    node.daemon.launch().unwrap();
    assert!(!node.exec(&id, "ls /vol/etc").is_empty(), "mounted as before");
    node.ok(&["rm", "-f", &id]);
    node.finish();
}

#[test]
fn in_a_user_namespace_its_files_are_the_pods() {
    let Some(node) = Node::start() else { return };
    node.ok(&["pull", VOLUME]);
    let pod = node.pod_with("mapped", |config| {
        let ids = json!([{ "container_id": 0, "host_id": 200_000, "length": 65_536 }]);
        config["linux"]["security_context"]["namespace_options"] =
            json!({ "pid": 1, "userns_options": { "mode": 0, "uids": ids, "gids": ids } });
    });
    let (log, code) =
        node.outcome(&pod, "main", "stat -c %u:%g /vol/etc/passwd; cat /vol/etc/passwd >/dev/null", |config| {
            config["mounts"] = json!([volume("/vol", "")]);
            config["linux"]["security_context"]["namespace_options"] = json!({ "pid": 1 });
        });
    assert_eq!((log.trim(), code), ("0:0", 0));
    node.finish();
}
