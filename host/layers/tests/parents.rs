//! What a layer takes from the layers below.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
};

use common::{Tar, is_opaque, is_whiteout, listing, unpack_above, unpack_new};
use tar::EntryType;
use tempfile::TempDir;
use wharf_error::{Error, Kind};
use wharf_layers::{Failure, NeedsParents, fix_implied};

fn base() -> TempDir {
    let tar = Tar::new()
        .entry(EntryType::Directory, "./", "", b"", |header| header.set_mode(0o555))
        .entry(EntryType::Directory, "tmp", "", b"", |header| header.set_mode(0o1777))
        .pax(&[("SCHILY.xattr.user.note", b"n")])
        .entry(EntryType::Directory, "home/u", "", b"", |header| {
            header.set_mode(0o700);
            header.set_uid(1000);
            header.set_gid(1000);
        })
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .entry(EntryType::Regular, "usr/lib/tool", "", b"tool", |header| header.set_mode(0o4711))
        .symlink("usr/lib/soft", "tool")
        .device(EntryType::Char, "dev/null", 1, 3)
        .dir("gone")
        .file("gone/file", "g")
        .end();
    unpack_new(&tar).0
}

fn above() -> TempDir {
    let tar = Tar::new().file(".wh.gone", "").file("usr/lib/other", "o").end();
    unpack_new(&tar).0
}

#[test]
fn implied_directories_look_as_below() {
    let (base, above) = (base(), above());
    let tar = Tar::new().file("tmp/x", "").file("home/u/y", "").file("gone/z", "").file("fresh/w", "").end();
    let (apart, unpacked) = unpack_new(&tar);
    assert_eq!(unpacked.implied.len(), 6, "{:?}", unpacked.implied);
    let parents = [above.path().to_owned(), base.path().to_owned()];
    fix_implied(apart.path(), &unpacked.implied, &parents).unwrap();
    let (together, unpacked) = unpack_above(&tar, &[&above, &base]).unwrap();
    assert!(unpacked.implied.is_empty(), "{:?}", unpacked.implied);
    for dir in [&apart, &together] {
        let listing = listing(dir.path());
        // Of the layer between, which was unpacked alone, the root is still a plain directory.
        assert!(listing[""].starts_with("dir 755 0:0"), "{}", listing[""]);
        assert!(listing["tmp"].starts_with("dir 1777 0:0 1600000000."), "{}", listing["tmp"]);
        assert!(listing["home/u"].starts_with("dir 700 1000:1000 1600000000."), "{}", listing["home/u"]);
        assert!(listing["home/u"].ends_with(" user.note=n"));
        assert!(listing["gone"].starts_with("dir 755 0:0"), "a whiteout hides what is below it");
        assert!(listing["fresh"].starts_with("dir 755 0:0"));
    }
}

#[test]
fn the_root_is_implied_too() {
    let base = base();
    let tar = Tar::new().file("x", "").end();
    let (apart, unpacked) = unpack_new(&tar);
    fix_implied(apart.path(), &unpacked.implied, &[base.path().to_owned()]).unwrap();
    let (together, _) = unpack_above(&tar, &[&base]).unwrap();
    for dir in [&apart, &together] {
        assert!(listing(dir.path())[""].starts_with("dir 555 0:0 1600000000."));
    }
}

#[test]
fn an_opaque_directory_takes_nothing() {
    let base = base();
    let tar = Tar::new().file("home/.wh..wh..opq", "").file("home/u/y", "").end();
    let (apart, unpacked) = unpack_new(&tar);
    fix_implied(apart.path(), &unpacked.implied, &[base.path().to_owned()]).unwrap();
    let (together, _) = unpack_above(&tar, &[&base]).unwrap();
    for dir in [&apart, &together] {
        assert!(is_opaque(&dir.path().join("home")));
        assert!(listing(dir.path())["home/u"].starts_with("dir 755 0:0"));
    }
}

#[test]
fn a_directory_that_is_a_link_below_needs_the_parents() {
    let base = base();
    let tar = Tar::new().file("lib/new", "n").file("lib/deep/er", "d").hard("lib/hard", "lib/tool").end();
    let dir = TempDir::new().unwrap();
    let alone = Tar::new().file("lib/new", "n").end();
    let unpacked = wharf_layers::unpack(&alone[..], dir.path(), &wharf_layers::UnpackOptions::default()).unwrap();
    let failure = fix_implied(dir.path(), &unpacked.implied, &[base.path().to_owned()]).unwrap_err();
    assert!(matches!(failure, Failure::NeedsParents(_)), "{failure}");
    let (dir, _) = unpack_above(&tar, &[&base]).unwrap();
    let names: Vec<_> = listing(dir.path()).into_keys().collect();
    let expected =
        ["", "usr", "usr/lib", "usr/lib/deep", "usr/lib/deep/er", "usr/lib/hard", "usr/lib/new", "usr/lib/tool"];
    assert_eq!(names, expected);
}

#[test]
fn a_hard_link_to_a_file_below_copies_it_up() {
    let (base, above) = (base(), above());
    let tar = Tar::new()
        .hard("bin/tool", "usr/lib/tool")
        .hard("bin/tool2", "usr/lib/tool")
        .hard("bin/soft", "usr/lib/soft")
        .hard("bin/null", "dev/null")
        .end();
    let dir = TempDir::new().unwrap();
    let failure = wharf_layers::unpack(&tar[..], dir.path(), &wharf_layers::UnpackOptions::default()).unwrap_err();
    let Failure::NeedsParents(needs) = failure else { panic!("{failure}") };
    assert_eq!(needs, NeedsParents { entry: "bin/tool".into(), target: "usr/lib/tool".into() });
    let (dir, _) = unpack_above(&tar, &[&above, &base]).unwrap();
    let inode = |name: &str| fs::symlink_metadata(dir.path().join(name)).unwrap();
    assert_eq!(inode("bin/tool").ino(), inode("usr/lib/tool").ino());
    assert_eq!((inode("bin/tool2").nlink(), inode("bin/tool").mode() & 0o7777), (3, 0o4711));
    assert_eq!(fs::read(dir.path().join("bin/tool")).unwrap(), b"tool");
    assert_eq!(inode("usr/lib/tool").mtime(), 1_600_000_000);
    assert_eq!(fs::read_link(dir.path().join("bin/soft")).unwrap().to_str(), Some("tool"));
    assert_eq!(inode("bin/null").rdev(), rustix::fs::makedev(1, 3));
}

#[test]
fn a_hard_link_to_what_no_layer_has() {
    let (base, above) = (base(), above());
    for target in ["gone/file", "no/where", "usr/lib"] {
        let tar = Tar::new().hard("x", target).end();
        let error = Error::from(unpack_above(&tar, &[&above, &base]).unwrap_err());
        assert_eq!(error.kind(), Kind::InvalidArgument, "{target}: {error}");
    }
    // Hidden by this layer itself.
    let tar = Tar::new().file("usr/.wh..wh..opq", "").hard("x", "usr/lib/tool").end();
    let failure = unpack_above(&tar, &[&above, &base]).unwrap_err();
    assert!(matches!(failure, Failure::Other(_)), "{failure}");
}

#[test]
fn links_of_a_parent_lead_nowhere_either() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "untouched").unwrap();
    let before = listing(outside.path());
    let parent = TempDir::new().unwrap();
    symlink(outside.path(), parent.path().join("door")).unwrap();
    symlink(outside.path().join("secret"), parent.path().join("file")).unwrap();
    let out = outside.path().to_str().unwrap();
    let tar = Tar::new().file("door/new", "n").file("door/.wh.secret", "").hard("copy", "file").end();
    let (dir, _) = unpack_above(&tar, &[&parent]).unwrap();
    assert_eq!(listing(outside.path()), before);
    let inside = dir.path().join(&out[1..]);
    assert!(is_whiteout(&inside.join("secret")) && inside.join("new").exists());
    assert!(fs::symlink_metadata(dir.path().join("copy")).unwrap().is_symlink());
    let stolen = Tar::new().hard("x", "door/secret").end();
    assert!(unpack_above(&stolen, &[&parent]).is_err());
}
