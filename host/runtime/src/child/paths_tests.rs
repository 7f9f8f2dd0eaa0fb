use std::{
    ffi::CString,
    fs,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::symlink,
    },
};

use super::*;

struct Tree {
    outer: tempfile::TempDir,
    root: OwnedFd,
}

fn tree() -> Tree {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir(&root).unwrap();
    Tree { root: fs::File::open(&root).unwrap().into(), outer }
}

impl Tree {
    fn path(&self, path: &str) -> std::path::PathBuf {
        self.outer.path().join("root").join(path)
    }

    fn ensure(&self, path: &str, holder: Holder) -> Result<(), i32> {
        ensure(self.root.as_raw_fd(), path.as_bytes(), holder).map(drop).map_err(|failure| failure.errno.0)
    }
}

#[test]
fn missing_directories_and_files_are_made() {
    let tree = tree();
    tree.ensure("/a//b/./c", Holder::Directory).unwrap();
    assert!(tree.path("a/b/c").is_dir());
    tree.ensure("a/b/file", Holder::File).unwrap();
    assert!(tree.path("a/b/file").is_file());
    tree.ensure("a/b/file", Holder::File).unwrap();
    assert_eq!(tree.ensure("a/b/file/x", Holder::File), Err(libc::ENOTDIR));
}

#[test]
fn a_dangling_link_is_followed_inside() {
    let tree = tree();
    fs::create_dir_all(tree.path("var")).unwrap();
    symlink("/run", tree.path("var/run")).unwrap();
    symlink("../../../../../etc/real", tree.path("var/up")).unwrap();
    tree.ensure("/var/run/secrets/token", Holder::File).unwrap();
    assert!(tree.path("run/secrets/token").is_file());
    tree.ensure("/var/up", Holder::Directory).unwrap();
    assert!(tree.path("etc/real").is_dir());
    assert!(!tree.outer.path().join("etc").exists(), "nothing is made outside the root");
}

#[test]
fn links_to_the_outside_lead_inside() {
    let tree = tree();
    let outside = tree.outer.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, tree.path("dev")).unwrap();
    tree.ensure("dev/null", Holder::File).unwrap();
    assert!(!outside.join("null").exists());
    assert!(tree.path(outside.strip_prefix("/").unwrap().to_str().unwrap()).join("null").is_file());
}

#[test]
fn loops_and_plain_directories() {
    let tree = tree();
    symlink("b", tree.path("a")).unwrap();
    symlink("a", tree.path("b")).unwrap();
    assert_eq!(tree.ensure("a/x", Holder::Directory), Err(libc::ELOOP));
    symlink("tmp", tree.path("proc")).unwrap();
    assert_eq!(tree.ensure("proc", Holder::PlainDirectory), Err(libc::ELOOP));
    tree.ensure("sys", Holder::PlainDirectory).unwrap();
    assert!(tree.path("sys").is_dir());
}

#[test]
fn magic_links_lead_nowhere() {
    // A root that is the host's own: only the link's nature stops it.
    let root: OwnedFd = fs::File::open("/").unwrap().into();
    let path = CString::new(format!("proc/self/fd/{}", root.as_raw_fd())).unwrap();
    assert_eq!(open(root.as_raw_fd(), &path).unwrap_err(), Errno(libc::ELOOP));
}

#[test]
fn a_path_that_is_too_long_is_refused() {
    let tree = tree();
    let long = "a/".repeat(3000);
    assert_eq!(tree.ensure(&long, Holder::Directory), Err(libc::ENAMETOOLONG));
}
