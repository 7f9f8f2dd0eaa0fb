//! The daemon with a snapshotter that does its worst.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use wharf_e2e::Node;
use wharf_testkit::{DaemonOptions, wait_for};

/// A node whose snapshotter does this (TOML), and works otherwise. It takes the place of the one that ships.
fn node(does: &str) -> Option<(Node, TempDir)> {
    node_within(2000, does)
}

/// As [`node`], with this long for each call, ms.
fn node_within(deadline: u64, does: &str) -> Option<(Node, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("overlayfs.wasm"), wharf_test_guests::HOSTILE).unwrap();
    let config = format!(
        "resume_window = 0\n[plugins]\ndir = {:?}\n\n[plugins.overlayfs]\ngrant = [\"layer-dir\"]\nrefuse = [\"thing\"]\n\
         deadline_ms = {deadline}\nlong_deadline_ms = {deadline}\n\n[plugins.overlayfs.config.does]\nwork = \"yes\"\n{does}\n",
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
        ("prepare = \"garbage\"", "prepare layer"),
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

#[test]
fn a_daemon_that_is_told_to_stop_does_not_wait_for_it() {
    let Some((mut node, _plugin)) = node_within(3_600_000, "prepare = \"spin\"") else { return };
    let mut pull = node.daemon.wharf(&["pull", &Node::image()]);
    let mut pull = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let layers = node.daemon.root().join("snapshots/overlayfs");
    let spins = || fs::read_dir(&layers).into_iter().flatten().flatten().any(|layer| layer.path().join("fs").is_dir());
    assert!(wait_for(Duration::from_secs(60), spins), "nothing is prepared");
    assert!(node.daemon.stop().unwrap().success());
    assert!(!pull.wait().unwrap().success());
    node.daemon.launch().unwrap();
    is_healthy(&node);
    node.finish();
}

#[test]
fn a_daemon_does_not_start_on_a_component_that_cannot_be_one() {
    let Some(node) = Node::empty() else { return };
    for (name, size) in [("cut-off", 10_000), ("empty", 0), ("huge", 1 << 40)] {
        let dir = node.daemon.scratch().join("test").join(name);
        fs::create_dir(&dir).unwrap();
        let file = fs::File::create(dir.join("overlayfs.wasm")).unwrap();
        (&file).write_all(&wharf_test_guests::HOSTILE[..10_000]).unwrap();
        file.set_len(size).unwrap();
        let config =
            format!("root = {:?}\nstate = {:?}\n[plugins]\ndir = {dir:?}\n", dir.join("root"), dir.join("state"));
        let config = node.file(&format!("{name}.toml"), &config);
        let bin = wharf_testkit::Daemon::bin_dir().unwrap().join("wharf");
        let out = Command::new(bin).args(["daemon", "--config", &config]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr) + String::from_utf8_lossy(&out.stdout);
        assert!(!out.status.success() && said.contains("plugin overlayfs: load: "), "{name}: {said}");
        assert!(!said.contains("panicked"), "{name}: {said}");
    }
    node.finish();
}
