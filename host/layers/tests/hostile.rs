//! Nothing in a layer reaches outside its directory, and nothing of it costs without bounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{fs, os::unix::fs::symlink};

use common::{Tar, listing, refusal, unpack_new};
use tar::EntryType;
use tempfile::TempDir;
use wharf_error::Kind;
use wharf_layers::{Failure, Limits, UnpackOptions, unpack};

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../out", "a/../../out", "/../out", "..", "a/../..", ".wh...", ".wh..", ".wh.", "a/.wh..."] {
        let error = refusal(&Tar::new().file(name, "x").end());
        assert_eq!(error.kind(), Kind::InvalidArgument, "{name}: {error}");
        assert!(error.to_string().contains(&format!("entry {name}")), "{error}");
    }
    let error = refusal(&Tar::new().file("x", "x").hard("y", "../x").end());
    assert_eq!(error.to_string(), "layer: entry y: path leads out of the layer");
}

#[test]
fn absolute_names_and_dots_stay_within() {
    let (dir, _) = unpack_new(&Tar::new().file("/etc/x", "1").file("a/./b/../c", "2").file(".//d", "3").end());
    let names: Vec<_> = listing(dir.path()).into_keys().collect();
    assert_eq!(names, ["", "a", "a/c", "d", "etc", "etc/x"]);
}

#[test]
fn links_out_of_the_layer_lead_back_into_it() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "untouched").unwrap();
    let before = listing(outside.path());
    let out = outside.path().to_str().unwrap();
    let tar = Tar::new()
        .symlink("abs", out)
        .symlink("rel", format!("{}{out}", "../".repeat(30)))
        .symlink("file", format!("{out}/secret"))
        .symlink("self", "self/x")
        .file("abs/new", "1")
        .file("rel/secret", "2")
        .file("abs/.wh.secret", "")
        .file("rel/.wh..wh..opq", "")
        .file("file", "3")
        .entry(EntryType::Directory, "abs", "", b"", |header| header.set_mode(0o777))
        .file("rel/dir/x", "4")
        .end();
    let (dir, _) = unpack_new(&tar);
    assert_eq!(listing(outside.path()), before);
    assert_eq!(fs::read(dir.path().join(&out[1..]).join("secret")).unwrap(), b"2");
    assert!(fs::symlink_metadata(dir.path().join("file")).unwrap().is_file());
}

#[test]
fn hard_links_do_not_reach_through_links() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "untouched").unwrap();
    let out = outside.path().to_str().unwrap();
    let tar = Tar::new().symlink("door", out).hard("stolen", "door/secret").end();
    let dir = TempDir::new().unwrap();
    let failure = unpack(tar.as_slice(), dir.path(), &UnpackOptions::default()).unwrap_err();
    assert!(matches!(failure, Failure::NeedsParents(_)), "{failure}");
    // A link to a link is another name of the link, and writing through it replaces the name.
    let tar = Tar::new().symlink("a", format!("{out}/secret")).hard("b", "a").file("b", "mine").end();
    let (dir, _) = unpack_new(&tar);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"untouched");
    assert_eq!(fs::read(dir.path().join("b")).unwrap(), b"mine");
}

#[test]
fn hard_links_to_directories_and_to_nothing() {
    assert_eq!(refusal(&Tar::new().dir("d").hard("l", "d").end()).kind(), Kind::InvalidArgument);
    assert_eq!(refusal(&Tar::new().hard("l", "/").end()).kind(), Kind::InvalidArgument);
    assert_eq!(refusal(&Tar::new().hard("l", "").end()).kind(), Kind::InvalidArgument);
}

#[test]
fn loops_of_links_end() {
    let error = refusal(&Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", "").end());
    assert!(error.to_string().contains("too many symbolic links"), "{error}");
}

#[test]
fn a_file_in_the_way_is_no_directory() {
    let error = refusal(&Tar::new().file("a", "").file("a/b", "").end());
    assert_eq!(error.to_string(), "layer: entry a/b: a is not a directory");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    for kind in [EntryType::Regular, EntryType::Symlink, EntryType::Fifo] {
        let error = refusal(&Tar::new().entry(kind, "./", "x", b"", |_| {}).end());
        assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
    }
}

#[test]
fn garbage_is_refused_by_name() {
    let good = Tar::new().file("a", "text").end();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("random bytes", (0..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()),
        ("cut in a header", good[..300].to_vec()),
        ("cut in the data", good[..600].to_vec()),
        ("wrong checksum", [&good[..100], b"9", &good[101..]].concat()),
        ("unknown type", Tar::new().entry(EntryType::new(b'Z'), "a", "", b"", |_| {}).end()),
        ("extended header and nothing after it", Tar::new().pax(&[("path", b"a")]).end()),
        ("malformed record", Tar::new().special(b'x', b"99 path=a\n").file("a", "").end()),
        ("size that is no number", Tar::new().pax(&[("size", b"12x")]).file("a", "").end()),
        ("NUL in a name", Tar::new().pax(&[("path", b"a\0b")]).file("a", "").end()),
        ("name above 255 bytes", Tar::new().file("n".repeat(256), "").end()),
        ("path above 4096 bytes", Tar::new().file("n/".repeat(2100), "").end()),
        ("depth", Tar::new().file("n/".repeat(300) + "x", "").end()),
        ("nobody's owner", Tar::new().pax(&[("uid", b"4294967295")]).file("a", "").end()),
        ("device out of range", Tar::new().device(EntryType::Block, "a", 1 << 12, 0).end()),
        ("link without target", Tar::new().symlink("a", "").end()),
        ("sparse map beyond the file", sparse(b"0,4,8,4", b"10")),
        ("sparse map out of order", sparse(b"8,4,0,4", b"12")),
        ("sparse map longer than the data", sparse(b"0,4,8,5", b"20")),
        ("sparse map that wraps", sparse(b"0,4,18446744073709551615,4", b"20")),
        ("odd sparse map", sparse(b"0,4,8", b"20")),
    ];
    for (name, tar) in cases {
        let error = refusal(&tar);
        assert_eq!(error.kind(), Kind::InvalidArgument, "{name}: {error}");
    }
}

fn sparse(map: &[u8], size: &[u8]) -> Vec<u8> {
    Tar::new().pax(&[("GNU.sparse.map", map), ("GNU.sparse.size", size)]).file("a", "12345678").end()
}

#[test]
fn bounds_hold() {
    let limits = Limits { entries: 10, bytes: 1 << 20, header: 4096, xattrs: 1000, ..Limits::default() };
    let many = (0..11).fold(Tar::new(), |tar, n| tar.file(format!("f{n}"), "")).end();
    let value = [b'v'; 1001];
    let cases = [
        ("entries", many),
        ("bytes", Tar::new().file("a", &"x".repeat(2 << 20)).end()),
        ("sparse size", sparse(b"0,8", b"1000000000000")),
        ("PAX header", Tar::new().pax(&[("comment", &[b'c'; 5000])]).file("a", "").end()),
        ("long name", Tar::new().special(b'L', &[b'n'; 5000]).file("a", "").end()),
        ("attributes", Tar::new().pax(&[("SCHILY.xattr.user.x", &value)]).file("a", "").end()),
    ];
    for (name, tar) in cases {
        let dir = TempDir::new().unwrap();
        let options = UnpackOptions { limits: limits.clone(), ..UnpackOptions::default() };
        let Failure::Other(error) = unpack(tar.as_slice(), dir.path(), &options).unwrap_err() else { panic!("{name}") };
        assert_eq!(error.kind(), Kind::Exhausted, "{name}: {error}");
    }
    // A size that no stream can have.
    let tar = Tar::new().entry(EntryType::Regular, "a", "", b"", |header| header.set_size(u64::MAX / 2)).end();
    assert_eq!(refusal(&tar).kind(), Kind::Exhausted);
}

#[test]
fn only_an_empty_directory_is_a_target() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("old"), "").unwrap();
    let tar = Tar::new().file("a", "").end();
    let options = UnpackOptions::default();
    let Failure::Other(error) = unpack(tar.as_slice(), dir.path(), &options).unwrap_err() else { panic!() };
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    let elsewhere = TempDir::new().unwrap();
    symlink(elsewhere.path(), dir.path().join("link")).unwrap();
    assert!(unpack(tar.as_slice(), &dir.path().join("link"), &options).is_err(), "the target is no link");
}
