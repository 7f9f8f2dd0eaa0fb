//! The daemon with a snapshotter that does its worst.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use tempfile::TempDir;
use wharf_e2e::Node;
use wharf_testkit::DaemonOptions;

/// A node whose snapshotter does this (TOML), and works otherwise. It takes the place of the one that ships.
fn node(does: &str) -> Option<(Node, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("overlayfs.wasm"), wharf_test_guests::HOSTILE).unwrap();
    let config = format!(
        "resume_window = 0\n[plugins]\ndir = {:?}\n\n[plugins.overlayfs]\ngrant = [\"layer-dir\"]\nrefuse = [\"thing\"]\n\
         deadline_ms = 2000\nlong_deadline_ms = 2000\n\n[plugins.overlayfs.config.does]\nwork = \"yes\"\n{does}\n",
        dir.path()
    );
    Some((Node::with(DaemonOptions { config, ..DaemonOptions::default() })?, dir))
}

/// It answers, remembers nothing of what failed, and runs pods.
fn is_healthy(node: &Node) {
    assert!(node.ok(&["version"]).contains("wharf"));
    assert_eq!(node.ok(&["images", "-q"]), "");
    let pod = node.pod("healthy");
    node.ok(&["stopp", &pod.id]);
    node.ok(&["rmp", &pod.id]);
}

#[test]
fn a_pull_through_it_fails_with_its_name_and_the_daemon_stays_healthy() {
    for (does, why) in [
        ("prepare = \"spin\"", "not done within its 2000 ms"),
        ("prepare = \"eat\"", "ran out of its 64 MiB of memory"),
        ("prepare = \"trap\"", "there is nothing to be done"),
        ("prepare = \"overflow\"", "trapped"),
        ("prepare = \"flood\"", "fuel"),
        ("commit = \"trap\"", "there is nothing to be done"),
        ("plan = \"absolute\"", "/etc"),
        ("plan = \"above\"", "`..`"),
        ("plan = \"foreign\"", "neither layer"),
        ("plan = \"million\"", "at most 64 steps"),
        ("plan = \"image\"", "plan of layer"),
    ] {
        let Some((node, _plugin)) = node(does) else { return };
        let said = node.fails(&["pull", &Node::image()]);
        assert!(said.contains("plugin overlayfs: ") && said.contains(why), "{does}: {said}");
        is_healthy(&node);
        node.finish();
    }
}

#[test]
fn a_container_through_it_fails_with_its_name_and_nothing_of_the_host_is_mounted() {
    for (does, why) in [
        ("mounts = \"spin\"", "not done within its 2000 ms"),
        ("mounts-plan = \"above\"", "`..`"),
        ("mounts-plan = \"image\"", "plan of layer"),
        ("mounts-plan = \"none\"", "without a plan"),
    ] {
        let Some((node, _plugin)) = node(does) else { return };
        node.ok(&["pull", &Node::image()]);
        let pod = node.pod("hostile");
        let id = node.create(&pod, "main", "cat /passwd", |_| {});
        let said = node.fails(&["start", &id]);
        assert!(said.contains("plugin overlayfs: ") && said.contains(why), "{does}: {said}");
        node.finish();
    }
}

#[test]
fn a_layer_that_was_made_a_link_leads_nowhere() {
    let Some((node, _plugin)) = node("") else { return };
    node.ok(&["pull", &Node::image()]);
    let pod = node.pod("link");
    let folder = node.daemon.root().join("snapshots/overlayfs");
    let layers = || -> Vec<PathBuf> {
        let mut all: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.retain(|path| path.file_name().is_some_and(|name| name != ".removed"));
        all
    };
    let before = layers();
    let id = node.create(&pod, "main", "ls", |_| {});
    let own = layers().into_iter().find(|layer| !before.contains(layer)).unwrap();
    fs::remove_dir(own.join("fs")).unwrap();
    symlink("/etc", own.join("fs")).unwrap();
    let said = node.fails(&["start", &id]);
    assert!(said.contains("fs"), "{said}");
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(" /etc /"), "nothing of it is mounted");
    node.ok(&["rm", &id]);
    assert!(PathBuf::from("/etc/passwd").is_file(), "what it led to is unharmed");
    node.finish();
}

#[test]
fn what_it_can_do_right_it_does() {
    let Some((node, _plugin)) = node("prepare = \"shout\"\nremove = \"shout\"") else { return };
    node.ok(&["pull", &Node::image()]);
    let pod = node.pod("works");
    let (log, code) = node.outcome(&pod, "main", "echo hello; exit 3", |_| {});
    assert_eq!((log.as_str(), code), ("hello\n", 3));
    let log = fs::read_to_string(node.daemon.log_path()).unwrap();
    assert!(log.matches("louder").count() < 50_000, "most of what it shouts is dropped");
    node.finish();
}
