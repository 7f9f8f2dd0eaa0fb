use std::fs;

use serde_json::json;
use wharf_e2e::Node;

#[test]
fn a_container_writes_into_its_own_layer_only() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("layers");
    let one = node.run(&pod, "one", "echo mine > /new; rm /etc/group; exec sleep 1000");
    let two = node.run(&pod, "two", "exec sleep 1000");
    node.exec(&one, "while ! grep -q mine /new; do :; done; test ! -e /etc/group");
    node.exec(&two, "test ! -e /new && grep -q www-data /etc/group");
    node.finish();
}

#[test]
fn a_read_only_root_cannot_be_written_and_its_mounts_can() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("read-only");
    let id = node.run_with(&pod, "main", "exec sleep 1000", |c| {
        c["linux"] = json!({ "security_context": { "readonly_rootfs": true } });
    });
    let said = node.fails(&["exec", "-s", &id, "touch", "/new"]);
    assert!(said.contains("Read-only file system"), "{said}");
    node.exec(&id, "echo x > /dev/shm/x && echo y > /dev/null");
    node.finish();
}

#[test]
fn masked_paths_are_empty_and_read_only_paths_refuse() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("masked");
    let id = node.run_with(&pod, "main", "exec sleep 1000", |c| {
        let masked = ["/proc/version", "/etc", "/no/such/path"];
        c["linux"] = json!({ "security_context": { "masked_paths": masked, "readonly_paths": ["/proc/sys"] } });
    });
    assert_eq!(node.exec(&id, "ls -A /etc | wc -l; wc -c < /proc/version"), "0\n0");
    let said = node.fails(&["exec", "-s", &id, "sh", "-c", "echo x > /proc/sys/kernel/domainname"]);
    assert!(said.contains("Read-only file system"), "{said}");
    node.finish();
}

#[test]
fn the_standard_mounts_and_devices_are_there() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("standard");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let seen = node.exec(&id, "cat /proc/mounts");
    for mount in [
        "/proc proc",
        "/dev tmpfs",
        "/dev/pts devpts",
        "/dev/shm tmpfs",
        "/dev/mqueue mqueue",
        "/sys sysfs",
        "/sys/fs/cgroup ",
    ] {
        assert!(seen.contains(&format!(" {mount}")), "{mount}: {seen}");
    }
    let devices = "for d in null zero full random urandom tty; do test -c /dev/$d || exit 1; done; for l in stdin fd ptmx; do readlink /dev/$l; done";
    assert_eq!(node.exec(&id, devices), "/proc/self/fd/0\n/proc/self/fd\npts/ptmx");
    assert!(!node.exec(&id, "ls /proc/self/fd").contains('9'), "no descriptor of ours leaks");
    // The root itself: an overlay that the host's mount table does not know.
    assert!(seen.lines().next().unwrap().contains(" / overlay"), "{seen}");
    let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours = node.daemon.root().display().to_string();
    assert!(!host.contains(&ours), "{host}");
    node.finish();
}

#[test]
fn host_folders_are_mounted_as_asked() {
    let Some(node) = Node::start() else { return };
    let shared = node.daemon.scratch().join("test/shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("from-host"), "hello\n").unwrap();
    let pod = node.pod("mounts");
    let id = node.run_with(&pod, "main", "exec sleep 1000", |c| {
        c["mounts"] = json!([
            { "host_path": shared, "container_path": "/writable" },
            { "host_path": shared, "container_path": "/deep/er/read-only", "readonly": true },
            { "host_path": shared.join("from-host"), "container_path": "/etc/one-file" },
        ]);
    });
    assert_eq!(
        node.exec(
            &id,
            "cat /writable/from-host /deep/er/read-only/from-host /etc/one-file; echo back > /writable/back"
        ),
        "hello\nhello\nhello"
    );
    assert_eq!(fs::read_to_string(shared.join("back")).unwrap(), "back\n");
    let said = node.fails(&["exec", "-s", &id, "touch", "/deep/er/read-only/x"]);
    assert!(said.contains("Read-only file system"), "{said}");
    node.finish();
}

#[test]
fn odd_layers_come_out_as_their_authors_meant() {
    let Some(node) = Node::empty() else { return };
    node.ok(&["pull", "images.test/odd:1"]);
    let pod = node.pod("odd");
    let id = node.run_with(&pod, "main", "exec sleep 1000", |c| c["image"]["image"] = json!("images.test/odd:1"));
    for (what, script, expected) in [
        ("a removed file and folder", "ls -d /odd/removed /odd/removed-dir 2>/dev/null | wc -l", "0"),
        ("an opaque folder", "ls -a /odd/opaque | tr '\\n' ' '", ". .. new "),
        ("a hard link to a lower layer", "cat /odd/link; test /odd/link -ef /odd/target && echo same", "target\nsame"),
        ("owners", "stat -c '%u:%g' /odd/owned", "1234:5678"),
        ("setuid", "stat -c %a /odd/setuid", "4755"),
        ("a sparse file", "stat -c %s /odd/sparse; head -c 5 /odd/sparse; tail -c 3 /odd/sparse", "8388608\nstartend"),
        ("a long path", "cat $(find /odd -name deep)", "deep"),
        ("a pipe", "stat -c %F /odd/pipe", "fifo"),
        ("an implied parent", "stat -c %a /tmp; cat /tmp/implied", "1777\nmy folder is of a lower layer"),
        ("a file that becomes a folder", "cat /odd/was-file/inside", "a folder now"),
    ] {
        assert_eq!(node.exec(&id, script), expected, "{what}");
    }
    node.finish();
}

#[test]
fn volumes_of_an_image_hold_what_it_put_there_and_can_be_written() {
    let Some(node) = Node::start() else { return };
    node.ok(&["pull", "images.test/volumes:1"]);
    let pod = node.pod("image-volumes");
    let script = "set -e; grep -q www-data /etc/passwd; echo x > /etc/new; stat -c %a /etc; echo done";
    for readonly in [false, true] {
        let (log, code) = node.outcome(&pod, &format!("readonly-{readonly}"), script, |config| {
            config["image"]["image"] = json!("images.test/volumes:1");
            config["linux"] = json!({ "security_context": { "readonly_rootfs": readonly } });
        });
        assert_eq!((log.as_str(), code), ("755\ndone\n", 0), "readonly_rootfs {readonly}");
    }
    // One of which the image has nothing.
    for readonly in [false, true] {
        let script = "echo y > /var/lib/data/new && ls /var/lib/data";
        let (log, code) = node.outcome(&pod, &format!("empty-{readonly}"), script, |config| {
            config["image"]["image"] = json!("images.test/volumes:1");
            config["linux"] = json!({ "security_context": { "readonly_rootfs": readonly } });
        });
        assert_eq!((log.as_str(), code), ("new\n", 0), "readonly_rootfs {readonly}");
    }
    node.finish();
}

#[test]
fn a_recursively_read_only_volume_has_nothing_writable_below() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("rro");
    // What the node has mounted below /sys serves: control groups, writable on the node.
    let mount = |recursive: bool, propagation: i32| {
        json!([{ "host_path": "/sys", "container_path": "/volume", "readonly": true,
                 "recursive_read_only": recursive, "propagation": propagation }])
    };
    let script = "grep -c ' /volume/[^ ]* [^ ]* rw' /proc/mounts";
    let (log, _) = node.outcome(&pod, "plain", script, |config| config["mounts"] = mount(false, 0));
    assert_ne!(log, "0\n", "the node has nothing writable mounted below /sys");
    let (log, _) = node.outcome(&pod, "recursive", script, |config| config["mounts"] = mount(true, 0));
    assert_eq!(log, "0\n");
    for (change, why) in [
        (json!({ "propagation": 1, "readonly": true }), "recursive_read_only needs private propagation"),
        (json!({ "readonly": false }), "recursive_read_only conflicts with a read-write mount"),
    ] {
        let config = node.container_config("refused", "true", |config| {
            config["mounts"] = mount(true, 0);
            for (key, value) in change.as_object().unwrap() {
                config["mounts"][0][key] = value.clone();
            }
        });
        let error = node.fails(&["create", &pod.id, &config, &pod.config]);
        assert!(error.contains(why), "{error}");
    }
    node.finish();
}
