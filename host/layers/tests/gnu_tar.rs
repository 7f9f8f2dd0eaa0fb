//! A tree as real as the machine has one, packed by GNU tar in each of its formats: we and GNU tar must unpack the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    process::Command,
};

use common::listing;
use rustix::fs::{FileType, Mode, XattrFlags};
use tempfile::TempDir;
use wharf_layers::{UnpackOptions, unpack};

#[test]
fn as_gnu_tar_does() {
    let source = TempDir::new().unwrap();
    populate(source.path());
    for format in ["gnu", "pax", "ustar", "oldgnu"] {
        let work = TempDir::new().unwrap();
        let archive = work.path().join("layer.tar");
        let mut pack = Command::new("tar");
        pack.arg(format!("--format={format}")).arg("--numeric-owner");
        if format != "ustar" {
            pack.arg("--sparse");
        }
        if format == "pax" {
            pack.arg("--xattrs").arg("--xattrs-include=*");
        }
        run(pack.arg("-C").arg(source.path()).arg("-cf").arg(&archive).arg("."));
        let (ours, theirs) = (work.path().join("ours"), work.path().join("theirs"));
        fs::create_dir(&ours).unwrap();
        fs::create_dir(&theirs).unwrap();
        let mut extract = Command::new("tar");
        extract.args(["--numeric-owner", "--same-owner", "-p", "--xattrs", "--xattrs-include=*", "-C"]);
        run(extract.arg(&theirs).arg("-xf").arg(&archive));
        unpack(fs::File::open(&archive).unwrap(), &ours, &UnpackOptions::default()).unwrap();
        let (ours, theirs) = (listing(&ours), listing(&theirs));
        assert!(ours.len() > 100, "{} names", ours.len());
        for (name, line) in &theirs {
            assert_eq!(ours.get(name), Some(line), "{format}: {name}");
        }
        assert_eq!(ours.len(), theirs.len(), "{format}");
    }
}

/// Something of the machine's own, and what it has none of.
fn populate(at: &Path) {
    let trees = ["/etc/alternatives", "/usr/share/zoneinfo/Europe", "/usr/share/perl5"];
    run(Command::new("cp").arg("-a").args(trees.iter().filter(|path| Path::new(path).exists())).arg(at));
    fs::write(at.join("one"), "1").unwrap();
    fs::hard_link(at.join("one"), at.join("another")).unwrap();
    symlink("/does/not/exist", at.join("dangling")).unwrap();
    let long = at.join("l".repeat(90)).join("m".repeat(90));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("file"), "long").unwrap();
    let root = rustix::fs::open(at, rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
    rustix::fs::mknodat(
        &root,
        "null",
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    rustix::fs::mknodat(&root, "fifo", FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let odd = at.join("sp ace\nline\u{e9}");
    fs::write(&odd, "odd").unwrap();
    std::os::unix::fs::chown(&odd, Some(12345), Some(54321)).unwrap();
    let sparse = fs::File::create(at.join("sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    for offset in (0..40).map(|n| n * 131_072) {
        std::os::unix::fs::FileExt::write_at(&sparse, b"island", offset).unwrap();
    }
    assert!(sparse.metadata().unwrap().blocks() < 4096, "this file system has no holes");
    rustix::fs::setxattr(at.join("one"), "user.note", b"line\nfeed", XattrFlags::empty()).unwrap();
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
