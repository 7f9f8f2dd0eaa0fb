//! Any bytes as an archive to be imported: what is found lies within it, and names are bounded.
#![no_main]

use std::{fs::File, io::Write as _};

use libfuzzer_sys::fuzz_target;
use wharf_layers::{Limits, MemberKind, Members};

fuzz_target!(|input: &[u8]| {
    let mut file: File = tempfile::tempfile_in("/dev/shm").expect("make a file");
    // The first byte says whether what looks like a header gets a right checksum.
    let Some((how, bytes)) = input.split_first() else { return };
    let mut archive = bytes.to_vec();
    if how & 1 != 0 {
        mend(&mut archive);
    }
    file.write_all(&archive).expect("write the archive");
    let limits = Limits { entries: 1000, header: 64 << 10, ..Limits::default() };
    let mut ended = false;
    for (count, member) in Members::of(&file, &limits).expect("read the file").enumerate() {
        assert!(!ended && count as u64 <= limits.entries, "nothing comes after an error");
        let Ok(member) = member else {
            ended = true;
            continue;
        };
        assert!(member.path.len() <= limits.path);
        match member.kind {
            MemberKind::File { offset, size } => assert!(offset + size <= archive.len() as u64),
            MemberKind::HardLink(to) | MemberKind::Symlink(to) => assert!(to.len() <= limits.path),
            MemberKind::Other => {}
        }
    }
});

/// Gives every block that names the ustar magic the checksum that it should have.
fn mend(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}
