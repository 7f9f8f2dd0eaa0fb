use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use rustix::fs::{FileType, Mode, XattrFlags, getxattr, mknodat, setxattr};

use super::*;
use crate::{state::Until, voice::Voice};

struct Folder {
    dir: tempfile::TempDir,
    state: State,
}

/// On the file system of the target directory: /tmp may be one without xattrs.
fn folder() -> Folder {
    let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let until =
        Until { deadline: Instant::now() + Duration::from_secs(60), stopping: Arc::new(AtomicBool::new(false)) };
    let mut state = State::new(Voice::new("test".into(), "prepare", None, 0), until, "{}".into(), 0);
    state.layer_dir = Some(Arc::new(LayerDir::open(dir.path(), "test").unwrap()));
    Folder { dir, state }
}

impl Folder {
    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }
}

fn at(layer: u64, path: &str) -> storage::Place {
    storage::Place { layer, path: path.into() }
}

const PLAIN: Access = Access { mode: 0o755, uid: 0, gid: 0 };

#[test]
fn make_gives_exactly_the_access_and_may_be_repeated() {
    let mut folder = folder();
    let odd = Access { mode: 0o3750, uid: 12, gid: 34 };
    folder.state.make(at(1, "a/b/c"), odd).unwrap();
    let seen = |path: &str| {
        let meta = fs::metadata(folder.dir.path().join(path)).unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    assert_eq!(seen("1/a/b/c"), (0o3750, 12, 34));
    assert_eq!(seen("1/a/b"), (0o700, 0, 0));
    assert_eq!(seen("1"), (0o700, 0, 0));
    folder.state.make(at(1, "a/b/c"), PLAIN).unwrap();
    let again = folder.state.get_access(at(1, "a/b/c")).unwrap();
    assert_eq!((again.mode, again.uid, again.gid), (0o755, 0, 0));

    fs::write(folder.path("1/file"), "").unwrap();
    assert_eq!(folder.state.make(at(1, "file"), PLAIN).unwrap_err().code, Code::AlreadyExists);
    assert_eq!(folder.state.make(at(1, "file/x"), PLAIN).unwrap_err().code, Code::InvalidArgument);
    let wide = Access { mode: 0o100_755, ..PLAIN };
    assert_eq!(folder.state.make(at(1, "x"), wide).unwrap_err().code, Code::InvalidArgument);
}

#[test]
fn nothing_goes_through_a_link_or_touches_a_device() {
    let mut folder = folder();
    folder.state.make(at(1, "real"), PLAIN).unwrap();
    symlink("/etc", folder.path("1/out")).unwrap();
    symlink("real", folder.path("1/in")).unwrap();
    symlink(folder.path("1"), folder.path("2")).unwrap();
    for place in [at(1, "out/passwd"), at(1, "in/x"), at(2, "real/x"), at(1, "out"), at(2, "")] {
        let name = format!("{}/{}", place.layer, place.path);
        assert!(folder.state.get_access(place.clone()).is_err(), "get-access {name}");
        assert!(folder.state.set_access(place.clone(), PLAIN).is_err(), "set-access {name}");
        assert!(folder.state.get_xattr(place.clone(), "user.x".into()).is_err(), "get-xattr {name}");
        assert!(folder.state.measure(place.clone()).is_err(), "measure {name}");
        assert!(folder.state.make(place.clone(), PLAIN).is_err(), "make {name}");
        assert!(folder.state.copy_tree(place, at(3, "copy")).is_err(), "copy-tree {name}");
    }
    assert!(folder.state.rename(at(1, "real"), at(1, "in/moved")).is_err());
    for (name, kind) in [("pipe", FileType::Fifo), ("null", FileType::CharacterDevice)] {
        mknodat(rustix::fs::CWD, folder.path("1").join(name), kind, Mode::RWXU, 0x103).unwrap();
        // Opening a pipe would wait for ever.
        assert_eq!(folder.state.get_access(at(1, name)).unwrap_err().code, Code::InvalidArgument);
    }
}

#[test]
fn xattrs_of_the_kernels_own_are_not_ours_to_set() {
    let mut folder = folder();
    folder.state.make(at(1, ""), PLAIN).unwrap();
    assert_eq!(folder.state.get_xattr(at(1, ""), "trusted.x".into()).unwrap(), None);
    folder.state.set_xattr(at(1, ""), "trusted.x".into(), b"value".to_vec()).unwrap();
    assert_eq!(folder.state.get_xattr(at(1, ""), "trusted.x".into()).unwrap().as_deref(), Some(&b"value"[..]));
    for name in ["security.capability", "system.posix_acl_access", "trusted.", ""] {
        let error = folder.state.set_xattr(at(1, ""), name.into(), vec![1]).unwrap_err();
        assert_eq!(error.code, Code::NotGranted, "{name}");
    }
}

#[test]
fn rename_never_replaces() {
    let mut folder = folder();
    folder.state.make(at(1, "a"), PLAIN).unwrap();
    folder.state.make(at(2, "b"), PLAIN).unwrap();
    assert_eq!(folder.state.rename(at(1, "a"), at(2, "b")).unwrap_err().code, Code::AlreadyExists);
    assert_eq!(folder.state.rename(at(1, "x"), at(2, "c")).unwrap_err().code, Code::NotFound);
    folder.state.rename(at(1, "a"), at(2, "c")).unwrap();
    assert!(folder.path("2/c").is_dir() && !folder.path("1/a").exists());
}

#[test]
fn measure_counts_a_file_with_two_names_once_and_holes_not_at_all() {
    let mut folder = folder();
    folder.state.make(at(1, "fs"), PLAIN).unwrap();
    let empty = folder.state.measure(at(1, "fs")).unwrap();
    fs::write(folder.path("1/fs/a"), vec![1; 100_000]).unwrap();
    fs::hard_link(folder.path("1/fs/a"), folder.path("1/fs/b")).unwrap();
    fs::File::create(folder.path("1/fs/sparse")).unwrap().set_len(1 << 30).unwrap();
    symlink("/nowhere", folder.path("1/fs/link")).unwrap();
    let full = folder.state.measure(at(1, "fs")).unwrap();
    assert_eq!(full.inodes - empty.inodes, 3);
    let bytes = full.bytes - empty.bytes;
    assert!((100_000..1_000_000).contains(&bytes), "{bytes}");
    assert_eq!(folder.state.measure(at(1, "none")).unwrap_err().code, Code::NotFound);
}

#[test]
fn a_copy_is_the_same_tree() {
    let mut folder = folder();
    folder.state.make(at(1, "fs/sub/deep"), Access { mode: 0o1770, uid: 7, gid: 8 }).unwrap();
    let source = folder.path("1/fs");
    fs::write(source.join("sub/file"), vec![7; 300_000]).unwrap();
    fs::set_permissions(source.join("sub/file"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(source.join("sub/file"), source.join("sub/deep/same")).unwrap();
    fs::hard_link(source.join("sub/file"), source.join("zz")).unwrap();
    symlink("../there", source.join("sub/link")).unwrap();
    chown(source.join("sub"), Some(99), Some(98)).unwrap();
    mknodat(rustix::fs::CWD, source.join("whiteout"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    mknodat(rustix::fs::CWD, source.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    setxattr(source.join("sub"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    let sparse = fs::File::create(source.join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (64 << 20) - 3).unwrap();

    folder.state.make(at(2, ""), PLAIN).unwrap();
    let usage = folder.state.copy_tree(at(1, "fs"), at(2, "copy")).unwrap();
    assert_eq!(usage.inodes, folder.state.measure(at(1, "fs")).unwrap().inodes);
    assert!(usage.bytes < 8 << 20, "holes stay holes: {usage:?}");
    let copy = folder.path("2/copy");
    let same = |path: &str| {
        let facts = |root: &PathBuf| {
            let meta = fs::symlink_metadata(root.join(path)).unwrap();
            let size = if meta.is_dir() { 0 } else { meta.size() };
            (meta.mode(), meta.uid(), meta.gid(), meta.mtime_nsec(), meta.mtime(), meta.rdev(), size, meta.nlink())
        };
        assert_eq!(facts(&copy), facts(&source), "{path}");
    };
    for path in ["", "sub", "sub/deep", "sub/file", "sub/deep/same", "zz", "sub/link", "whiteout", "pipe", "sparse"] {
        same(path);
    }
    assert_eq!(fs::read(copy.join("sub/file")).unwrap(), vec![7; 300_000]);
    assert!(fs::read(copy.join("sparse")).unwrap().ends_with(b"\0end"));
    let inode = |path: &str| fs::metadata(copy.join(path)).unwrap().ino();
    assert_eq!((inode("sub/deep/same"), inode("zz")), (inode("sub/file"), inode("sub/file")), "hard links stay");
    assert_eq!(fs::read_link(copy.join("sub/link")).unwrap(), PathBuf::from("../there"));
    let mut value = [0; 8];
    assert_eq!(getxattr(copy.join("sub"), "trusted.overlay.opaque", &mut value).unwrap(), 1);

    assert_eq!(folder.state.copy_tree(at(1, "fs"), at(2, "copy")).unwrap_err().code, Code::AlreadyExists);
    assert_eq!(folder.state.copy_tree(at(1, ""), at(1, "fs/x")).unwrap_err().code, Code::InvalidArgument);
    folder.state.make(at(3, "empty"), PLAIN).unwrap();
    folder.state.copy_tree(at(1, "fs"), at(3, "empty")).unwrap();
    folder.state.copy_tree(at(1, "fs/sub/file"), at(3, "one")).unwrap();
    assert_eq!(fs::read(folder.path("3/one")).unwrap().len(), 300_000);
}

#[test]
fn host_work_ends_with_the_call() {
    let mut folder = folder();
    folder.state.make(at(1, "fs"), PLAIN).unwrap();
    folder.state.until.deadline = Instant::now();
    assert_eq!(folder.state.measure(at(1, "fs")).unwrap_err().code, Code::DeadlineExceeded);
    assert_eq!(folder.state.make(at(1, "x"), PLAIN).unwrap_err().code, Code::DeadlineExceeded);
    assert!(!folder.path("1/x").exists());
}

#[test]
fn a_tree_without_bottom_is_refused_not_followed() {
    let mut folder = folder();
    folder.state.make(at(1, "fs"), PLAIN).unwrap();
    let mut dir = cap_std::fs::Dir::open_ambient_dir(folder.path("1/fs"), ambient_authority()).unwrap();
    for _ in 0..300 {
        dir.create_dir("d").unwrap();
        dir = dir.open_dir("d").unwrap();
    }
    assert_eq!(folder.state.measure(at(1, "fs")).unwrap_err().code, Code::Exhausted);
    folder.state.remove(at(1, "")).unwrap();
}
