//! Disks that are full, or that turn read-only while something is pulled. Each test runs in a process with a mount
//! namespace of its own, so that no mount outlives it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it is wrong")]

mod support;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use support::{Gate, NS, Node, committed, reference};
use wharf_error::Kind;
use wharf_testkit::{Auth, Compression, Image, Kind as Form, Layer, Registry, Tree, need, root};

/// Runs an ignored test of this file in a mount namespace of its own.
fn apart(test: &str) {
    let Some(()) = need(root()) else { return };
    let ran = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test, "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

fn run(program: &str, arguments: &[&str]) {
    let ran = Command::new(program).args(arguments).output().unwrap();
    assert!(ran.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// An image of one plain layer of so many bytes.
fn image(bytes: usize) -> Image {
    let mut tree = Tree::new();
    tree.file("large", vec![7; bytes]);
    Image::new(Form::Oci, &[Layer::new("large", &tree, Compression::None).unwrap()], &serde_json::json!({})).unwrap()
}

fn node_on(disk: &Path) -> Node {
    Node { dir: tempfile::tempdir_in(disk).unwrap(), ordered: false }
}

#[test]
fn a_full_disk_ends_a_pull_cleanly() {
    apart("on_a_small_disk");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a_full_disk_ends_a_pull_cleanly"]
async fn on_a_small_disk() {
    let disk = tempfile::tempdir().unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=32m", "small", disk.path().to_str().unwrap()]);
    let registry = Registry::start(Auth::Open).unwrap();
    // Too large for its download; for its download and its layer together.
    let (huge, large, small) = (image(64 << 20), image(20 << 20), image(1 << 20));
    for (name, image) in [("huge", &huge), ("large", &large), ("small", &small)] {
        registry.add(name, "1", image);
    }
    let node = node_on(disk.path());
    // Kept for the next try is nothing, whatever the configuration says: it is room that is lacking.
    let opened = node.open_with(|config| config.resume_window = Duration::from_secs(3600)).await;
    for (name, image) in [("huge", &huge), ("large", &large)] {
        let error = opened.pull(&format!("{}/{name}:1", registry.address())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Exhausted, "{error}");
        let text = error.to_string();
        assert!(text.contains("No space left") && text.contains(&image.blobs[1].digest), "{text}");
        opened.until_nothing_is_left().await;
    }
    // The same in an archive, whose layer does not fit, and compressed, so that not even the archive does.
    let files = tempfile::tempdir().unwrap();
    let plain = files.path().join("huge.tar");
    huge.write_oci_archive(&plain, "images.example/huge:1").unwrap();
    let packed = files.path().join("huge.tar.gz");
    let mut out = flate2::write::GzEncoder::new(std::fs::File::create(&packed).unwrap(), flate2::Compression::fast());
    std::io::copy(&mut std::fs::File::open(&plain).unwrap(), &mut out).unwrap();
    out.finish().unwrap();
    for (path, step) in [(&plain, huge.blobs[1].digest.as_str()), (&packed, "inflate the archive")] {
        let error = opened.images.import(NS, path, None).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Exhausted, "{text}");
        assert!(text.contains("No space left") && text.contains(step), "{text}");
        opened.until_nothing_is_left().await;
    }
    let pulled = opened.pull(&format!("{}/small:1", registry.address())).await.unwrap();
    assert_eq!(pulled.id, small.id, "there is room again");
    assert_eq!(committed(&opened).await.len(), 1);
}

#[test]
fn a_disk_that_turns_read_only_ends_a_pull_and_is_clean_after_the_repair() {
    apart("on_a_disk_that_turns_read_only");
}

/// A file system in a file, on a loop device that goes with its last mount.
struct Loop {
    file: PathBuf,
    at: PathBuf,
}

impl Loop {
    fn mount(&self) {
        run("mount", &["-o", "loop,errors=remount-ro", self.file.to_str().unwrap(), self.at.to_str().unwrap()]);
    }

    /// What a failing disk does to ext4.
    fn fail(&self) {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == self.at.to_str()).unwrap();
        let device = line.split(' ').next().unwrap().trim_start_matches("/dev/");
        std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a_disk_that_turns_read_only_ends_a_pull_and_is_clean_after_the_repair"]
async fn on_a_disk_that_turns_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Loop { file: folder.path().join("disk"), at: folder.path().join("mounted") };
    std::fs::create_dir(&disk.at).unwrap();
    std::fs::File::create(&disk.file).unwrap().set_len(128 << 20).unwrap();
    run("mkfs.ext4", &["-q", "-F", disk.file.to_str().unwrap()]);
    disk.mount();
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(8 << 20);
    registry.add("cut", "1", &made);
    let gate = Gate::before(&registry, &[&made]).await;
    let mut node = node_on(&disk.at);
    node.dir.disable_cleanup(true);
    let name = reference(&format!("{}/cut:1", registry.address()));
    let opened = node.open().await;
    let pulling = {
        let (images, name) = (opened.images.clone(), name.clone());
        tokio::spawn(async move { images.pull(NS, &name, None, None).await })
    };
    gate.until_waiting(1).await;
    disk.fail();
    gate.open();
    let error = tokio::time::timeout(Duration::from_secs(60), pulling).await.unwrap().unwrap().unwrap_err();
    // A write that the journal had begun fails with EIO, all others with EROFS.
    let text = error.to_string();
    assert!(text.contains("ead-only file system") || text.contains("Input/output error"), "{text}");
    assert!(text.contains(&made.blobs[1].digest), "{text}");
    assert!(opened.images.list(NS).await.unwrap().is_empty(), "what is there can still be read");
    drop(opened);
    // Threads that end take their files along.
    for _ in 0..100 {
        if Command::new("umount").arg(&disk.at).output().unwrap().status.success() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = Command::new("e2fsck").args(["-p", "-f"]).arg(&disk.file).output().unwrap();
    disk.mount();
    // On a node this one is on tmpfs, and new after a reboot.
    std::fs::remove_file(node.dir.path().join("state.redb")).unwrap();
    {
        let opened = node.open().await;
        opened.until_nothing_is_left().await;
        assert_eq!(opened.pull(&name.to_string()).await.unwrap().id, made.id);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    run("umount", &["-l", disk.at.to_str().unwrap()]);
}
