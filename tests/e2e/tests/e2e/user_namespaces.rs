//! Pods with users of their own (`hostUsers: false`).

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::PathBuf,
};

use serde_json::{Value, json};
use wharf_e2e::{Node, Pod};

const ROOT: u32 = 200_000;

fn mappings() -> Value {
    json!([{ "host_id": ROOT, "container_id": 0, "length": 65_536 }])
}

fn options(config: &mut Value) -> &mut Value {
    &mut config["linux"]["security_context"]["namespace_options"]
}

fn users(config: &mut Value) {
    options(config)["pid"] = json!(1);
    options(config)["userns_options"] = json!({ "mode": 0, "uids": mappings(), "gids": mappings() });
}

fn pod(node: &Node, name: &str) -> Pod {
    node.pod_with(name, users)
}

fn user_namespace(pid: i64) -> String {
    fs::read_link(format!("/proc/{pid}/ns/user")).unwrap().display().to_string()
}

fn owner(pid: i64) -> u32 {
    fs::metadata(format!("/proc/{pid}")).unwrap().uid()
}

/// A folder of the test's, to be a volume.
fn volume(node: &Node, name: &str) -> PathBuf {
    let path = node.daemon.scratch().join("test").join(name);
    fs::create_dir(&path).unwrap();
    path
}

#[test]
fn root_in_the_pod_is_nobody_on_the_node() {
    let Some(mut node) = Node::start() else { return };
    let pod = pod(&node, "users");
    let script =
        "id -u; stat -c %u:%g /etc/passwd /etc/hosts /dev/null /; echo x > /made && echo made; exec sleep 1000";
    let (one, two) = (node.run(&pod, "one", script), node.run(&pod, "two", "exec sleep 1000"));
    let log = node.wait_log(&one, "made");
    assert_eq!(log, "0\n0:0\n0:0\n0:0\n0:0\nmade\n");
    let pids = [node.pid(&one), node.pid(&two)];
    assert_eq!(pids.map(owner), [ROOT; 2]);
    assert_eq!(user_namespace(pids[0]), user_namespace(pids[1]), "one for the pod");
    assert_ne!(user_namespace(pids[0]), fs::read_link("/proc/self/ns/user").unwrap().display().to_string());
    assert_eq!(node.exec(&two, "id -u; cat /proc/self/uid_map | tr -s ' '"), format!("0\n 0 {ROOT} 65536"));
    node.exec(&two, "echo to-the-log > /proc/1/fd/1");
    // A new daemon finds it as any other pod.
    node.daemon.kill().unwrap();
    node.daemon.launch().unwrap();
    assert_eq!(node.pid(&one), pids[0]);
    assert_eq!(node.exec(&one, "id -u"), "0");
    let three = node.run(&pod, "three", "exec sleep 1000");
    assert_eq!(user_namespace(node.pid(&three)), user_namespace(pids[0]));
    node.finish();
}

#[test]
fn a_pod_whose_processes_are_shared_has_its_first_process_inside() {
    let Some(node) = Node::start() else { return };
    let shared = |config: &mut Value| {
        users(config);
        options(config)["pid"] = json!(0);
    };
    let pod = node.pod_with("shared", shared);
    let id = node.run_with(&pod, "main", "exec sleep 1000", |config| options(config)["pid"] = json!(0));
    let processes = node.exec(&id, "tr '\\0' ' ' < /proc/1/cmdline; grep Uid /proc/1/status");
    assert!(processes.starts_with("wharf-init") && processes.contains("65534"), "{processes}");
    let pid = node.pid(&id);
    assert_eq!(owner(pid), ROOT);
    node.finish();
}

#[test]
fn a_container_that_may_mount_cannot_write_a_read_only_volume() {
    let Some(node) = Node::start() else { return };
    let pod = pod(&node, "locked");
    let volume = volume(&node, "volume");
    fs::write(volume.join("file"), "old").unwrap();
    let script = "mount -o remount,bind,rw /volume; mount -o remount,rw /volume; umount /volume; umount -l /volume; \
        echo new > /volume/file; mkdir /mine && mount --bind /volume /mine; mount -o remount,bind,rw /mine; \
        echo new > /mine/file; mkdir /own; mount -t tmpfs own /own && echo mounted";
    let (log, _) = node.outcome(&pod, "main", script, |config| {
        config["linux"]["security_context"]["capabilities"] = json!({ "add_capabilities": ["SYS_ADMIN"] });
        // Where there is AppArmor its default profile lets nothing be mounted, and proves nothing of the locks.
        config["linux"]["security_context"]["apparmor"] = json!({ "profile_type": 1 });
        config["mounts"] = json!([{
            "host_path": volume, "container_path": "/volume", "readonly": true,
            "uidMappings": mappings(), "gidMappings": mappings(),
        }]);
    });
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "old", "{log}");
    assert_eq!(log.matches("Read-only file system").count(), 2, "{log}");
    assert!(log.contains("mounted"), "it may mount what is its own: {log}");
    node.finish();
}

#[test]
fn volumes_are_mapped_as_the_kubelet_asks() {
    let Some(node) = Node::start() else { return };
    let pod = pod(&node, "volumes");
    let volume = volume(&node, "volume");
    chown(&volume, Some(1000), Some(2000)).unwrap();
    let mount = |config: &mut Value, host: &str| {
        config["mounts"] = json!([{
            "host_path": host, "container_path": "/volume", "uidMappings": mappings(), "gidMappings": mappings(),
        }]);
    };
    let host = volume.display().to_string();
    let (log, code) =
        node.outcome(&pod, "main", "stat -c %u:%g /volume; echo x > /volume/made", |config| mount(config, &host));
    assert_eq!((log.as_str(), code), ("1000:2000\n", 0));
    assert_eq!(fs::metadata(volume.join("made")).unwrap().uid(), 0, "root's on the node, too");

    // sysfs cannot be idmapped.
    let id = node.create(&pod, "cannot", "true", |config| mount(config, "/sys/kernel"));
    let error = node.fails(&["start", &id]);
    assert!(error.contains("mount /volume") && error.contains("does not support idmapped mounts"), "{error}");
    node.finish();
}

#[test]
fn what_contradicts_itself_is_refused() {
    let Some(node) = Node::start() else { return };
    for (mode, uids, gids, why) in [
        (0, mappings(), json!([]), "needs mappings of uids and of gids"),
        (2, mappings(), mappings(), "NODE takes no mappings"),
        (1, mappings(), mappings(), "unsupported user namespace mode"),
        (0, json!([{ "host_id": ROOT, "container_id": 1, "length": 9 }]), mappings(), "do not map 0"),
    ] {
        let config = node.pod_config("wrong", |config| {
            options(config)["userns_options"] = json!({ "mode": mode, "uids": uids, "gids": gids });
        });
        let error = node.fails(&["runp", &config]);
        assert!(error.contains(why), "{error} does not say {why:?}");
    }
    let pod = pod(&node, "right");
    let config = node.container_config("wrong", "true", |config| {
        options(config)["userns_options"] = json!({ "mode": 2 });
    });
    let error = node.fails(&["create", &pod.id, &config, &pod.config]);
    assert!(error.contains("not the same as the pod sandbox's"), "{error}");
    node.finish();
}

#[test]
fn the_status_tells_what_the_handler_can() {
    let Some(node) = Node::empty() else { return };
    let handlers = node.json(&["info"])["runtimeHandlers"].clone();
    let handlers = handlers.as_array().unwrap();
    assert_eq!(handlers.len(), 2);
    for handler in handlers {
        assert_eq!(handler["features"]["user_namespaces"], true, "{handler}");
        assert_eq!(handler["features"]["recursive_read_only_mounts"], true, "{handler}");
    }
    node.finish();
}

#[test]
fn on_the_nodes_network_users_are_the_pods_all_the_same() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod_with("host-network", |config| {
        users(config);
        options(config)["network"] = json!(2);
    });
    let script = "id -u; readlink /proc/self/ns/net; tr -s ' ' < /proc/self/uid_map; ls /sys/class/net | grep -x lo";
    let (log, code) = node.outcome(&pod, "main", script, |_| {});
    let own = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    assert_eq!((log, code), (format!("0\n{own}\n 0 {ROOT} 65536\nlo\n"), 0));
    node.finish();
}
