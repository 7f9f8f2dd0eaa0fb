use std::io::Write as _;

use anyhow::{Context as _, Result};
use tar::{Builder, EntryType, Header};

use crate::{
    image::{Blob, digest_of},
    tree::{Entry, Node, Tree},
};

const EPOCH: u64 = 1_704_067_200;
const BLOCK: usize = 512;

/// How a layer's archive is packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `tar+gzip`
    Gzip,
    /// `tar+zstd`
    Zstd,
}

/// A layer: the packed archive, and the digest of the unpacked one.
#[derive(Clone, Debug)]
pub struct Layer {
    pub(crate) packed: Vec<u8>,
    pub(crate) compression: Compression,
    pub(crate) diff_id: String,
    pub(crate) note: String,
}

impl Layer {
    /// Writes a tree as a layer. The same tree gives the same bytes: fixed times, fixed levels.
    ///
    /// # Errors
    ///
    /// When an entry cannot be said in the tar format.
    pub fn new(note: &str, tree: &Tree, compression: Compression) -> Result<Self> {
        let plain = archive(tree).with_context(|| format!("layer {note:?}: write the archive"))?;
        Self::from_archive(note, plain, compression)
    }

    /// Packs an archive made elsewhere, sound or not.
    ///
    /// # Errors
    ///
    /// When a compressor fails.
    pub fn from_archive(note: &str, plain: Vec<u8>, compression: Compression) -> Result<Self> {
        let diff_id = digest_of(&plain);
        let packed = match compression {
            Compression::None => plain,
            Compression::Gzip => gzip(&plain)?,
            Compression::Zstd => zstd::stream::encode_all(plain.as_slice(), 3)?,
        };
        Ok(Self { packed, compression, diff_id, note: note.to_owned() })
    }

    /// The same layer under another diffID: one that whoever verifies must refuse.
    #[must_use]
    pub fn with_wrong_diff_id(mut self) -> Self {
        self.diff_id = digest_of(b"something else");
        self
    }

    /// The packed bytes.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Digest of the unpacked archive.
    pub fn diff_id(&self) -> &str {
        &self.diff_id
    }

    pub(crate) fn blob(&self, docker: bool) -> Blob {
        let media_type = match (docker, self.compression) {
            (true, Compression::None) => "application/vnd.docker.image.rootfs.diff.tar",
            (true, Compression::Gzip) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            (true, Compression::Zstd) => "application/vnd.docker.image.rootfs.diff.tar.zstd",
            (false, Compression::None) => "application/vnd.oci.image.layer.v1.tar",
            (false, Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (false, Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
        };
        Blob::new(media_type, self.packed.clone())
    }
}

/// The same bytes each time.
pub(crate) fn gzip(plain: &[u8]) -> Result<Vec<u8>> {
    let mut out = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::new(6));
    out.write_all(plain)?;
    Ok(out.finish()?)
}

fn archive(tree: &Tree) -> Result<Vec<u8>> {
    let mut out = Builder::new(Vec::new());
    for entry in tree.entries() {
        append(&mut out, entry).with_context(|| format!("entry {}", entry.path))?;
    }
    Ok(out.into_inner()?)
}

fn append(out: &mut Builder<Vec<u8>>, entry: &Entry) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_mtime(EPOCH);
    // Seven octal digits; a greater id is in the extended header alone.
    header.set_uid(entry.uid.min(0o7_777_777));
    header.set_gid(entry.gid.min(0o7_777_777));
    let mut extended: Vec<(String, Vec<u8>)> = Vec::new();
    for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
        if id > 0o7_777_777 {
            extended.push((key.into(), id.to_string().into_bytes()));
        }
    }
    extended.extend(entry.xattrs.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.clone())));

    let mut path = entry.path.clone();
    let mut body = Vec::new();
    let kind = match &entry.node {
        Node::Dir => {
            path.push('/');
            EntryType::Directory
        }
        Node::File(data) => {
            body.clone_from(data);
            EntryType::Regular
        }
        Node::Sparse(size, chunks) => {
            for (key, value) in
                [("major", "1".into()), ("minor", "0".into()), ("name", path.clone()), ("realsize", size.to_string())]
            {
                extended.push((format!("GNU.sparse.{key}"), value.into_bytes()));
            }
            path = format!("GNUSparseFile.0/{path}");
            body = sparse_body(chunks);
            EntryType::Regular
        }
        Node::Symlink(target) | Node::Hardlink(target) => {
            if target.len() > 100 {
                extended.push(("linkpath".into(), target.clone().into_bytes()));
            }
            put(&mut header, 157, target);
            if matches!(entry.node, Node::Symlink(_)) { EntryType::Symlink } else { EntryType::Link }
        }
        Node::Char(major, minor) => {
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
            EntryType::Char
        }
        Node::Fifo => EntryType::Fifo,
    };
    header.set_entry_type(kind);
    if path.len() > 100 {
        extended.push(("path".into(), path.clone().into_bytes()));
    }
    // Raw, because the path of a hostile entry is whatever it is.
    put(&mut header, 0, &path);
    header.set_size(body.len() as u64);
    header.set_cksum();
    if !extended.is_empty() {
        out.append_pax_extensions(extended.iter().map(|(k, v)| (k.as_str(), v.as_slice())))?;
    }
    out.append(&header, body.as_slice())?;
    Ok(())
}

// The GNU format 1.0: a map in decimal lines, filled up to a block, then the data.
fn sparse_body(chunks: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut map = format!("{}\n", chunks.len());
    for (offset, data) in chunks {
        map.push_str(&format!("{offset}\n{}\n", data.len()));
    }
    let mut body = map.into_bytes();
    body.resize(body.len().next_multiple_of(BLOCK), 0);
    for (_, data) in chunks {
        body.extend_from_slice(data);
    }
    body
}

fn put(header: &mut Header, at: usize, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(100)];
    header.as_mut_bytes()[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn sample() -> Tree {
        let mut tree = Tree::new();
        tree.file("a/b", "hello").owner(7, 4_000_000).xattr("user.k", b"v\0w");
        tree.file(&format!("deep/{}/x", "d".repeat(150)), "far");
        tree.hardlink("a/c", "a/b");
        tree
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let (a, b) = (Layer::new("n", &sample(), compression), Layer::new("n", &sample(), compression));
            assert_eq!(a.unwrap().packed, b.unwrap().packed);
        }
    }

    #[test]
    fn an_archive_reads_back_with_long_paths_owners_and_attributes() {
        let layer = Layer::new("n", &sample(), Compression::Gzip).unwrap();
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(layer.packed()).read_to_end(&mut plain).unwrap();
        assert_eq!(digest_of(&plain), layer.diff_id());
        let mut archive = tar::Archive::new(plain.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let extended = entry
                .pax_extensions()
                .unwrap()
                .map(|all| {
                    all.map(|e| e.unwrap())
                        .map(|e| (e.key().unwrap().to_owned(), e.value_bytes().to_owned()))
                        .collect::<Vec<_>>()
                })
                .unwrap_or_default();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut body = String::new();
            entry.read_to_string(&mut body).unwrap();
            seen.push((path, body, extended));
        }
        let (_, body, extended) = seen.iter().find(|(path, ..)| path == "a/b").unwrap();
        assert_eq!(body, "hello");
        assert!(extended.contains(&("gid".into(), b"4000000".to_vec())), "{extended:?}");
        assert!(extended.contains(&("SCHILY.xattr.user.k".into(), b"v\0w".to_vec())), "{extended:?}");
        assert!(seen.iter().any(|(path, body, _)| path.ends_with("/x") && path.len() > 150 && body == "far"));
    }
}
