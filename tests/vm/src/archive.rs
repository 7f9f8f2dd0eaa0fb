use std::fmt::Write as _;

/// A cpio archive as the kernel unpacks it into its first root ("newc"), of folders and files of root.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

impl Archive {
    pub fn folder(&mut self, path: &str) {
        self.entry(path, FOLDER, &[]);
    }

    pub fn file(&mut self, path: &str, data: &[u8]) {
        self.entry(path, FILE, data);
    }

    pub fn program(&mut self, path: &str, data: &[u8]) {
        self.entry(path, PROGRAM, data);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entries = 0;
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, data: &[u8]) {
        // The archive's end has no number.
        let inode = if mode == 0 { 0 } else { self.entries + 1 };
        self.entries += 1;
        let mut header = String::from("070701");
        // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of the name, no checksum
        let numbers = [inode, mode, 0, 0, 1, 0, size(data.len()), 0, 0, 0, 0, size(path.len() + 1), 0];
        for number in numbers {
            // Into a string: cannot fail.
            let _ = write!(header, "{number:08x}");
        }
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

// What is packed here is a few megabytes; the format ends at 4 GiB, and a larger file would be cut: the kernel refuses it.
fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_aligned_and_the_trailer_comes_last() {
        let mut archive = Archive::default();
        archive.folder("dev");
        archive.program("init", b"#!/bin/sh\n");
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        let heads: Vec<_> = text.match_indices("070701").map(|(at, _)| at % 4).collect();
        assert_eq!(heads, [0, 0, 0]);
        assert!(text.contains("init\0") && text.contains("TRAILER!!!\0"), "{text}");
        assert_eq!(bytes.len() % 4, 0);
    }
}
