//! Disks that are full, and a state folder that turns read-only. What a pull does on them is in `host/images/tests/disks.rs`,
//! what the books do in `host/store`.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount};
use wharf_e2e::Node;
use wharf_testkit::{DaemonOptions, MountNs, need, root};

use super::{node, others_go_on};

const NONE: Option<&str> = None;

/// A small disk of the test's, in a mount namespace, that can be filled to the last byte.
struct SmallDisk {
    mounts: MountNs,
    at: PathBuf,
}

impl SmallDisk {
    fn mount(mounts: &MountNs, at: &Path, options: &str) -> Self {
        let mounted = || mount(Some("small"), at, Some("tmpfs"), MsFlags::empty(), Some(options));
        mounts.run(mounted).unwrap().unwrap();
        Self { mounts: mounts.clone(), at: at.to_owned() }
    }

    /// First every byte, then every file that it can have.
    fn fill(&self) {
        let folder = self.at.join("full");
        let fill = || -> io::Result<()> {
            fs::create_dir(&folder)?;
            let mut file = File::create(folder.join("bytes"))?;
            while file.write_all(&[0; 4096]).is_ok() {}
            (0..).try_for_each(|number: u32| File::create(folder.join(number.to_string())).map(drop))
        };
        let filled = self.mounts.run(fill).unwrap();
        assert_eq!(filled.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        self.mounts.run(|| fs::remove_dir_all(self.at.join("full"))).unwrap().unwrap();
    }
}

fn says(said: &str, words: &[&str]) {
    assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
}

#[test]
fn a_full_state_folder_is_named_and_the_same_calls_succeed_once_there_is_room() {
    let Some(()) = need(root()) else { return };
    let Some(mounts) = need(MountNs::new()) else { return };
    let Some(node) = node("", Some(&mounts)) else { return };
    let pods = node.daemon.state().join("pods");
    // The first pod makes it, for good.
    others_go_on(&node);
    let disk = SmallDisk::mount(&mounts, &pods, "size=256k,nr_inodes=1000,mode=711");
    let config = node.pod_config("full", |_| {});
    disk.fill();
    let said = node.fails(&["runp", &config]);
    says(&said, &["ResourceExhausted", "run pod sandbox", &pods.display().to_string(), "No space left on device"]);
    assert_eq!(node.ok(&["pods", "-q"]), "", "nothing is left of it");
    disk.free();
    let pod = node.ok(&["runp", &config]);

    let container = node.container_config("main", "exec sleep 1000", |_| {});
    disk.fill();
    let said = node.fails(&["create", &pod, &container, &config]);
    says(&said, &["ResourceExhausted", "create container", "No space left on device"]);
    assert_eq!(node.ok(&["ps", "-a", "-q"]), "", "nothing is left of it");
    disk.free();
    let id = node.ok(&["create", &pod, &container, &config]);
    node.ok(&["start", &id]);

    // What is there can be stopped and removed without room.
    disk.fill();
    node.ok(&["stop", "--timeout", "0", &id]);
    assert_eq!(node.exit_code(&id), 137);
    node.ok(&["rm", &id]);
    node.ok(&["stopp", &pod]);
    node.ok(&["rmp", &pod]);
    disk.free();
    node.finish();
}

#[test]
fn a_full_disk_of_images_and_containers_is_named_and_the_same_call_succeeds_once_there_is_room() {
    let Some(()) = need(root()) else { return };
    let Some(mounts) = need(MountNs::new()) else { return };
    let at = tempfile::tempdir().unwrap();
    let root = at.path().join("root");
    fs::create_dir(&root).unwrap();
    let disk = SmallDisk::mount(&mounts, &root, "size=96m,nr_inodes=10000");
    let options = DaemonOptions { at: Some(at.path().into()), mounts: Some(mounts), ..DaemonOptions::default() };
    let Some(node) = Node::with(options) else { return };
    node.ok(&["pull", &Node::image()]);
    let pod = node.pod("full");
    let config = node.container_config("main", "exec sleep 1000", |_| {});
    disk.fill();
    let said = node.fails(&["create", &pod.id, &config, &pod.config]);
    says(&said, &["ResourceExhausted", "create container", "o space left on device"]);
    assert_eq!(node.ok(&["ps", "-a", "-q"]), "");
    disk.free();
    let id = node.ok(&["create", &pod.id, &config, &pod.config]);
    node.ok(&["start", &id]);
    node.ok(&["stop", "--timeout", "0", &id]);
    node.finish();
}

#[test]
fn a_read_only_state_folder_is_named_and_the_same_calls_succeed_once_it_can_be_written() {
    let Some(()) = need(root()) else { return };
    let Some(mounts) = need(MountNs::new()) else { return };
    let Some(node) = node("", Some(&mounts)) else { return };
    let state = node.daemon.state();
    let pod = node.pod("there");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let bind = || mount(Some(&state), &state, NONE, MsFlags::MS_BIND, NONE);
    mounts.run(bind).unwrap().unwrap();
    let turn = |flags: MsFlags| {
        let remount = || mount(NONE, &state, NONE, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flags, NONE);
        mounts.run(remount).unwrap().unwrap();
    };
    turn(MsFlags::MS_RDONLY);
    let config = node.pod_config("new", |_| {});
    let said = node.fails(&["runp", &config]);
    says(&said, &["FailedPrecondition", "run pod sandbox", "make the folder", "Read-only file system"]);
    let second = node.container_config("second", "exec sleep 1000", |_| {});
    let said = node.fails(&["create", &pod.id, &second, &pod.config]);
    says(&said, &["FailedPrecondition", "create container", "make the folder", "Read-only file system"]);
    let said = node.fails(&["exec", "-s", &id, "true"]);
    says(&said, &["exec in container", &id, "make the pipe", "Read-only file system"]);
    assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING");
    turn(MsFlags::empty());
    let new = node.ok(&["runp", &config]);
    assert_ne!(new, pod.id);
    node.ok(&["create", &pod.id, &second, &pod.config]);
    assert_eq!(node.exec(&id, "echo here"), "here");
    node.finish();
}
