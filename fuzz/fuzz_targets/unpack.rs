//! Any bytes as a layer: it ends, within its bounds, and nothing beside the target changes.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use wharf_layers::{Limits, UnpackOptions, unpack};

fuzz_target!(|input: &[u8]| {
    // On tmpfs where there is one: the target is made and removed thousands of times a second.
    let base = if fs::metadata("/dev/shm").is_ok() { "/dev/shm" } else { "/tmp" };
    let holder = TempDir::new_in(base).expect("make a temporary folder");
    let (target, parent) = (holder.path().join("layer"), holder.path().join("parent"));
    fs::create_dir(&target).expect("make the target");
    fs::create_dir_all(parent.join("dir/below")).expect("make a parent");
    fs::write(parent.join("dir/file"), "untouched").expect("write into the parent");
    std::os::unix::fs::symlink(holder.path(), parent.join("door")).expect("link in the parent");

    // The first byte says whether there are layers below; the rest gets a right checksum where it looks like a header.
    let Some((how, bytes)) = input.split_first() else { return };
    let mut blob = bytes.to_vec();
    if how & 2 != 0 {
        mend(&mut blob);
    }
    let parents = if how & 1 == 0 { Vec::new() } else { vec![parent.clone()] };
    let limits = Limits { entries: 1000, bytes: 4 << 20, header: 64 << 10, ..Limits::default() };
    let _ = unpack(&blob[..], &target, &UnpackOptions { limits, parents, ..UnpackOptions::default() });

    let mut beside: Vec<_> = fs::read_dir(holder.path()).expect("list").map(|e| e.expect("entry").file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["layer", "parent"]);
    let mut below: Vec<_> = fs::read_dir(&parent).expect("list").map(|e| e.expect("entry").file_name()).collect();
    below.sort();
    assert_eq!(below, ["dir", "door"]);
    assert_eq!(fs::read(parent.join("dir/file")).expect("read"), b"untouched");
    assert_eq!(fs::read_dir(parent.join("dir/below")).expect("list").count(), 0);
});

/// Gives every block that names the ustar magic the checksum that it should have, or the fuzzer would seldom get past it.
fn mend(blob: &mut [u8]) {
    for block in blob.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}
