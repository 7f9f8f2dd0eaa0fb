//! Tars made by hand, so that they can be as wrong as wished, and a look at what became of them.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use rustix::fs::{getxattr, lgetxattr, llistxattr};
use tar::{EntryType, Header};
use tempfile::TempDir;
use wharf_layers::{Compression, Failure, UnpackOptions, Unpacked, unpack};

/// When everything was last changed, unless a test says otherwise.
pub const MTIME: u64 = 1_600_000_000;

/// A tar under construction.
#[derive(Clone, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    /// Any entry: the header can be changed at will before its checksum is made.
    pub fn entry(
        mut self,
        kind: EntryType,
        path: impl AsRef<[u8]>,
        link: impl AsRef<[u8]>,
        data: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let (path, link) = (path.as_ref(), link.as_ref());
        if path.len() > 100 {
            self = self.long(b'L', path);
        }
        if link.len() > 100 {
            self = self.long(b'K', link);
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(MTIME);
        header.set_size(data.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        let copy = |into: &mut [u8; 100], from: &[u8]| {
            let n = from.len().min(100);
            into[..n].copy_from_slice(&from[..n]);
        };
        copy(&mut gnu.name, path);
        copy(&mut gnu.linkname, link);
        change(&mut header);
        header.set_cksum();
        self.raw(header.as_bytes()).data(data)
    }

    pub fn file(self, path: impl AsRef<[u8]>, data: &str) -> Self {
        self.entry(EntryType::Regular, path, "", data.as_bytes(), |_| {})
    }

    pub fn dir(self, path: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Directory, path, "", b"", |header| header.set_mode(0o755))
    }

    pub fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Symlink, path, target, b"", |_| {})
    }

    pub fn hard(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Link, path, target, b"", |_| {})
    }

    pub fn device(self, kind: EntryType, path: &str, major: u32, minor: u32) -> Self {
        self.entry(kind, path, "", b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    /// PAX records for the entry that comes next.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while rest + length.to_string().len() != length {
                length = rest + length.to_string().len();
            }
            write!(data, "{length} {key}=").unwrap();
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.special(b'x', &data)
    }

    /// An extended header of this type.
    pub fn special(self, flag: u8, data: &[u8]) -> Self {
        self.entry(EntryType::new(flag), "special", "", data, |_| {})
    }

    pub fn data(self, data: &[u8]) -> Self {
        let zeroes = vec![0; (512 - data.len() % 512) % 512];
        self.raw(data).raw(&zeroes)
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// With the two blocks that end an archive.
    pub fn end(self) -> Vec<u8> {
        self.raw(&[0; 1024]).bytes
    }

    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn long(self, flag: u8, name: &[u8]) -> Self {
        self.special(flag, &[name, b"\0"].concat())
    }
}

/// Unpacks with the defaults into a new directory.
pub fn unpack_new(tar: &[u8]) -> (TempDir, Unpacked) {
    let dir = TempDir::new().unwrap();
    let unpacked = unpack(tar, dir.path(), &UnpackOptions::default()).unwrap();
    (dir, unpacked)
}

/// What unpacking says of a tar that must not go through.
pub fn refusal(tar: &[u8]) -> wharf_error::Error {
    let dir = TempDir::new().unwrap();
    match unpack(tar, dir.path(), &UnpackOptions::default()).unwrap_err() {
        Failure::Other(error) => error,
        Failure::NeedsParents(needs) => panic!("asks for parents: {needs}"),
    }
}

/// Unpacks above parents, nearest first.
pub fn unpack_above(tar: &[u8], parents: &[&TempDir]) -> Result<(TempDir, Unpacked), Failure> {
    let dir = TempDir::new().unwrap();
    let parents = parents.iter().map(|parent| parent.path().to_owned()).collect();
    let options = UnpackOptions { parents, compression: Compression::None, ..UnpackOptions::default() };
    let unpacked = unpack(tar, dir.path(), &options)?;
    Ok((dir, unpacked))
}

/// One line for each name below a directory: type, mode, owner, time, what it holds, its attributes.
pub fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    list(root, root, &mut all);
    all
}

fn list(root: &Path, at: &Path, all: &mut BTreeMap<String, String>) {
    let meta = fs::symlink_metadata(at).unwrap();
    let kind = meta.file_type();
    let what = if kind.is_dir() {
        "dir".into()
    } else if kind.is_symlink() {
        format!("link to {}", fs::read_link(at).unwrap().display())
    } else if kind.is_file() {
        let data = fs::read(at).unwrap();
        let sum = data.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        format!("file of {} links, {} bytes, sum {sum:x}", meta.nlink(), data.len())
    } else if kind.is_char_device() || kind.is_block_device() {
        let rdev = meta.rdev();
        let name = if kind.is_char_device() { "char" } else { "block" };
        format!("{name} {}:{}", rustix::fs::major(rdev), rustix::fs::minor(rdev))
    } else {
        "fifo".into()
    };
    let mode = if kind.is_symlink() { 0 } else { meta.mode() & 0o7777 };
    let line = format!("{what} {mode:o} {}:{} {}.{:09}", meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec());
    let name = at.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    all.insert(name, format!("{line}{}", xattrs(at)));
    if kind.is_dir() {
        for entry in fs::read_dir(at).unwrap() {
            list(root, &entry.unwrap().path(), all);
        }
    }
}

fn xattrs(path: &Path) -> String {
    let mut names = vec![0; 4096];
    let used = llistxattr(path, &mut names).unwrap();
    let mut text = String::new();
    let mut names: Vec<_> = names[..used].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    for name in names {
        let mut value = vec![0; 4096];
        let used = lgetxattr(path, name, &mut value).unwrap();
        text += &format!(" {}={}", name.escape_ascii(), value[..used].escape_ascii());
    }
    text
}

pub fn is_whiteout(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_char_device() && meta.rdev() == 0)
}

pub fn is_opaque(path: &Path) -> bool {
    let mut value = [0; 8];
    getxattr(path, "trusted.overlay.opaque", &mut value).is_ok_and(|used| &value[..used] == b"y")
}
