//! What an image says is what is on the disk.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use common::{MTIME, Tar, is_opaque, is_whiteout, listing, unpack_new};
use tar::EntryType;

#[test]
fn every_kind_with_owner_mode_and_time() {
    let owned = |header: &mut tar::Header| {
        header.set_uid(1000);
        header.set_gid(2000);
        header.set_mode(0o4755);
    };
    let tar = Tar::new()
        .entry(EntryType::Directory, "./", "", b"", |header| header.set_mode(0o555))
        .entry(EntryType::Directory, "d/", "", b"", |header| {
            header.set_mode(0o2750);
            header.set_gid(7);
        })
        .entry(EntryType::Regular, "d/suid", "", b"#!", owned)
        .file("d/plain", "text")
        .entry(EntryType::Symlink, "d/link", "../nowhere", b"", owned)
        .hard("d/hard", "d/suid")
        .device(EntryType::Char, "null", 1, 3)
        .device(EntryType::Block, "disk", 8, 1)
        .entry(EntryType::Fifo, "fifo", "", b"", owned)
        .entry(EntryType::Continuous, "contiguous", "", b"c", |_| {})
        .entry(EntryType::Regular, "old-dir/", "", b"", |header| {
            header.as_mut_bytes()[156] = 0;
            header.set_mode(0o700);
        })
        .end();
    let (dir, unpacked) = unpack_new(&tar);
    assert_eq!(unpacked.entries, 11);
    assert_eq!(unpacked.bytes, tar.len() as u64);
    assert!(unpacked.implied.is_empty(), "{:?}", unpacked.implied);
    let time = format!("{MTIME}.000000000");
    let sum = |text: &str| text.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let suid = format!("file of 2 links, 2 bytes, sum {:x} 4755 1000:2000 {time}", sum("#!"));
    let expected = [
        ("", format!("dir 555 0:0 {time}")),
        ("contiguous", format!("file of 1 links, 1 bytes, sum {:x} 644 0:0 {time}", sum("c"))),
        ("d", format!("dir 2750 0:7 {time}")),
        ("d/hard", suid.clone()),
        ("d/link", format!("link to ../nowhere 0 1000:2000 {time}")),
        ("d/plain", format!("file of 1 links, 4 bytes, sum {:x} 644 0:0 {time}", sum("text"))),
        ("d/suid", suid),
        ("disk", format!("block 8:1 644 0:0 {time}")),
        ("fifo", format!("fifo 4755 1000:2000 {time}")),
        ("null", format!("char 1:3 644 0:0 {time}")),
        ("old-dir", format!("dir 700 0:0 {time}")),
    ];
    let listing: Vec<_> = listing(dir.path()).into_iter().collect();
    assert_eq!(listing, expected.map(|(name, line)| (name.to_owned(), line)).to_vec());
}

#[test]
fn nothing_is_inherited_from_a_setgid_directory() {
    let tar = Tar::new()
        .entry(EntryType::Directory, "shared", "", b"", |header| {
            header.set_mode(0o2777);
            header.set_gid(50);
        })
        .dir("shared/dir")
        .file("shared/file", "x")
        .end();
    let (dir, _) = unpack_new(&tar);
    for name in ["shared/dir", "shared/file"] {
        let meta = fs::metadata(dir.path().join(name)).unwrap();
        assert_eq!((meta.gid(), meta.mode() & 0o2000), (0, 0), "{name}");
    }
}

#[test]
fn attributes_hold_any_byte_and_the_overlays_own_are_dropped() {
    // File capabilities with a line feed in them: cap_dac_override and cap_fowner are bits 1 and 3.
    let capability = [&[1, 0, 0, 2, 0x0a, 0, 0, 0][..], &[0; 12]].concat();
    let records: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.security.capability", &capability),
        ("SCHILY.xattr.user.note", b"a=b\nc"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.overlay.whiteout", b"y"),
        ("mtime", b"1600000001.25"),
    ];
    let tar = Tar::new().pax(records).file("tool", "x").pax(records).dir("dir").end();
    let (dir, _) = unpack_new(&tar);
    let listing = listing(dir.path());
    let attributes = format!(" security.capability={} user.note=a=b\\nc", capability.escape_ascii());
    for name in ["tool", "dir"] {
        assert!(listing[name].ends_with(&format!(" 1600000001.250000000{attributes}")), "{}", listing[name]);
    }
}

#[test]
fn long_names_in_both_ways() {
    let long = "n".repeat(120) + "/" + &"m".repeat(200);
    let pax = "p".repeat(150) + "/é";
    let target = "t".repeat(300);
    let tar = Tar::new()
        .file(&long, "gnu")
        .pax(&[("path", pax.as_bytes()), ("linkpath", target.as_bytes())])
        .symlink("short", "short")
        .pax(&[("path", b"gone"), ("path", b"")])
        .file("kept", "an empty value takes a record back")
        .end();
    let (dir, _) = unpack_new(&tar);
    assert_eq!(fs::read(dir.path().join(&long)).unwrap(), b"gnu");
    assert_eq!(fs::read_link(dir.path().join(&pax)).unwrap(), Path::new(&target));
    assert!(dir.path().join("kept").exists());
}

#[test]
fn size_and_owner_of_pax_count_not_the_headers() {
    let tar = Tar::new()
        .pax(&[("size", b"5"), ("uid", b"3000000"), ("gid", b"4000000")])
        .entry(EntryType::Regular, "big", "", b"", |header| header.set_size(0))
        .data(b"12345")
        .file("next", "n")
        .end();
    let (dir, _) = unpack_new(&tar);
    let meta = fs::metadata(dir.path().join("big")).unwrap();
    assert_eq!((meta.len(), meta.uid(), meta.gid()), (5, 3_000_000, 4_000_000));
    assert_eq!(fs::read(dir.path().join("next")).unwrap(), b"n");
}

#[test]
fn whiteouts_speak_of_layers_below_only() {
    let tar = Tar::new()
        .file(".wh.gone", "")
        .file("etc/.wh.passwd", "")
        .file("var/.wh..wh..opq", "")
        .file("var/new", "v")
        // A marker and the name itself in one layer: the name stays, in either order, and hides all below.
        .file(".wh.before", "")
        .file("before/file", "b")
        .file("after/file", "a")
        .file(".wh.after", "")
        .file(".wh.described", "")
        .dir("described")
        .file("text", "t")
        .file(".wh.text", "")
        .file(".wh..wh.plnk/1.2", "aufs")
        .file(".wh..wh.aufs", "")
        .file(".wh..hidden", "")
        .end();
    let (dir, unpacked) = unpack_new(&tar);
    let at = |name: &str| dir.path().join(name);
    assert!(is_whiteout(&at("gone")) && is_whiteout(&at("etc/passwd")) && is_whiteout(&at(".hidden")));
    for opaque in ["var", "before", "after", "described"] {
        assert!(is_opaque(&at(opaque)), "{opaque}");
    }
    for (name, text) in [("var/new", "v"), ("before/file", "b"), ("after/file", "a"), ("text", "t")] {
        assert_eq!(fs::read_to_string(at(name)).unwrap(), text);
    }
    assert!(!is_opaque(&at("etc")));
    let marked: Vec<_> = listing(dir.path()).into_keys().filter(|name| name.contains(".wh.")).collect();
    assert!(marked.is_empty(), "{marked:?}");
    let implied: Vec<_> = unpacked.implied.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(implied, ["", "after", "etc", "var"], "what was whited out here takes nothing from below");
}

#[test]
fn the_later_entry_wins_whatever_it_was() {
    let tar = Tar::new()
        .file("a", "first")
        .file("a", "second")
        .file("b/c/d", "deep")
        .file("b", "a file now")
        .symlink("s", "b")
        .dir("s")
        .file("s/in", "in a directory")
        .dir("e")
        .file("e/kept", "k")
        .entry(EntryType::Directory, "e", "", b"", |header| header.set_mode(0o711))
        .file("f", "f")
        .symlink("f", "/elsewhere")
        .file("x", "x")
        .file("y", "y")
        .hard("y", "x")
        .hard("y", "x")
        .hard("x", "x")
        .end();
    let (dir, _) = unpack_new(&tar);
    let at = |name: &str| dir.path().join(name);
    assert_eq!(fs::read(at("a")).unwrap(), b"second");
    assert_eq!(fs::read(at("b")).unwrap(), b"a file now");
    assert_eq!(fs::read(at("s/in")).unwrap(), b"in a directory");
    assert!(fs::symlink_metadata(at("s")).unwrap().is_dir());
    assert_eq!(fs::metadata(at("e")).unwrap().permissions().mode() & 0o7777, 0o711);
    assert!(at("e/kept").exists());
    assert_eq!(fs::read_link(at("f")).unwrap(), Path::new("/elsewhere"));
    assert_eq!(fs::read(at("y")).unwrap(), b"x");
    assert_eq!(fs::metadata(at("x")).unwrap().nlink(), 2);
}

#[test]
fn links_on_the_way_are_followed_within_the_layer() {
    let tar = Tar::new()
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/lib")
        .symlink("up", "../../../usr/./lib/../lib")
        .symlink("chain", "up")
        .symlink("later", "not/yet")
        .file("lib/1", "1")
        .file("abs/2", "2")
        .file("up/3", "3")
        .file("chain/deeper/4", "4")
        .file("later/5", "5")
        .hard("lib/6", "abs/2")
        .end();
    let (dir, _) = unpack_new(&tar);
    for (name, text) in [("1", "1"), ("2", "2"), ("3", "3"), ("deeper/4", "4"), ("6", "2")] {
        assert_eq!(fs::read_to_string(dir.path().join("usr/lib").join(name)).unwrap(), text);
    }
    assert_eq!(fs::read(dir.path().join("not/yet/5")).unwrap(), b"5");
}

#[test]
fn holes_stay_holes() {
    let mib = 1 << 20;
    let data = vec![b'd'; 1024];
    // GNU's old form: data at 0 and at 1 MiB, then a hole to 4 MiB; 21 more pairs can follow in blocks of their own.
    let pair = |offset: u64, length: u64| format!("{offset:011o}\0{length:011o}\0").into_bytes();
    let mut more = [pair(mib, 512), pair(4 * mib, 0)].concat();
    more.resize(512, 0);
    let old = Tar::new()
        .entry(EntryType::GNUSparse, "old", "", b"", |header| {
            header.set_size(1024);
            let gnu = header.as_gnu_mut().unwrap();
            gnu.set_real_size(4 * mib);
            gnu.set_is_extended(true);
            gnu.sparse[0].set_offset(0);
            gnu.sparse[0].set_length(512);
        })
        .raw(&more)
        .data(&data);
    let map = b"0,512,1048576,512,4194304,0";
    let records: &[(&str, &[u8])] =
        &[("GNU.sparse.map", map), ("GNU.sparse.size", b"4194304"), ("GNU.sparse.name", b"v01")];
    let v01 = old.pax(records).entry(EntryType::Regular, "GNUSparseFile.1/v01", "", &data, |_| {});
    let v00 = [
        ("GNU.sparse.size", &b"4194304"[..]),
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.offset", b"0"),
        ("GNU.sparse.numbytes", b"512"),
        ("GNU.sparse.offset", b"1048576"),
        ("GNU.sparse.numbytes", b"512"),
    ];
    let v00 = v01.pax(&v00).entry(EntryType::Regular, "v00", "", &data, |_| {});
    let mut head = b"3\n0\n512\n1048576\n512\n4194304\n0\n".to_vec();
    head.resize(512, 0);
    let v10: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"v10"),
        ("GNU.sparse.realsize", b"4194304"),
    ];
    let tar = v00
        .pax(v10)
        .entry(EntryType::Regular, "GNUSparseFile.1/v10", "", &[head, data].concat(), |_| {})
        .file("next", "the stream is still in step")
        .end();
    let (dir, unpacked) = unpack_new(&tar);
    assert_eq!(unpacked.entries, 5);
    let mut expected = vec![0; 4 << 20];
    expected[..512].fill(b'd');
    expected[1 << 20..(1 << 20) + 512].fill(b'd');
    for name in ["old", "v00", "v01", "v10"] {
        let path = dir.path().join(name);
        assert!(fs::read(&path).unwrap() == expected, "{name}");
        assert!(fs::metadata(&path).unwrap().blocks() <= 64, "{name} has its holes filled");
    }
    assert!(dir.path().join("next").exists());
}

#[test]
fn a_device_that_would_be_a_whiteout_is_dropped() {
    let tar = Tar::new().file("kept", "k").device(EntryType::Char, "kept", 0, 0).device(EntryType::Char, "new", 0, 0);
    let (dir, _) = unpack_new(&tar.end());
    assert_eq!(fs::read(dir.path().join("kept")).unwrap(), b"k");
    assert!(fs::symlink_metadata(dir.path().join("new")).is_err());
}

#[test]
fn global_headers_and_volume_names_are_passed_over() {
    let tar = Tar::new()
        .special(b'g', b"19 path=everywhere\n")
        .entry(EntryType::new(b'V'), "volume", "", b"", |_| {})
        .file("file", "f")
        .bytes();
    // No blocks of zeroes at the end either.
    let (dir, _) = unpack_new(&tar);
    assert_eq!(listing(dir.path()).into_keys().collect::<Vec<_>>(), ["", "file"]);
}
