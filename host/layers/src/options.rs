use std::{path::PathBuf, sync::Arc};

use wharf_error::{Error, Kind};

use crate::{Budget, Compression};

/// What the blob must be: the digest and size of a manifest's descriptor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Descriptor {
    /// `sha256:<64 hex digits>` or `sha512:<128 hex digits>` of the bytes as they were sent.
    pub digest: String,
    /// Their number.
    pub size: u64,
}

/// How to unpack one layer. The default trusts nothing and expects nothing: any digest, plain tar unless
/// the first bytes say otherwise, the usual limits, no layers below.
#[derive(Clone, Debug, Default)]
pub struct UnpackOptions {
    /// What the media type says. The first bytes have the last word, as with every other runtime: images
    /// whose media type is wrong exist, and both digests are verified in any case.
    pub compression: Compression,
    /// Digest and size that the blob must have; unchecked when absent.
    pub expected: Option<Descriptor>,
    /// Digest of the uncompressed stream, from the image's configuration; unchecked when absent.
    pub diff_id: Option<String>,
    /// What a layer may cost.
    pub limits: Limits,
    /// What this and other layers may cost together; without one, each its own limits.
    pub budget: Option<Arc<Budget>>,
    /// The overlay directories of the layers below, nearest first. Empty when they are not on disk yet (layers
    /// unpacked in parallel): implied directories are then mended by [`fix_implied`](crate::fix_implied), and a
    /// layer that cannot be written without them fails with [`NeedsParents`](crate::NeedsParents).
    pub parents: Vec<PathBuf>,
}

/// What a layer may cost before it is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// What is bounded, as an error names it.
    pub what: &'static str,
    /// The key of the configuration that raises [`bytes`](Self::bytes).
    pub key: &'static str,
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of the uncompressed stream, and of the files in it (sparse files count by their length).
    pub bytes: u64,
    /// Uncompressed bytes for one compressed byte, looked at once `ratio_from` bytes came out. Deflate cannot
    /// go above 1032, zstd can.
    pub ratio: u64,
    /// Where looking at the ratio begins, in uncompressed bytes.
    pub ratio_from: u64,
    /// Bytes of one path or link target.
    pub path: usize,
    /// Directories below one another, symbolic links resolved.
    pub depth: usize,
    /// Bytes of one extended header (PAX record set, GNU long name, sparse map).
    pub header: usize,
    /// Bytes of all extended attributes of one entry.
    pub xattrs: usize,
}

/// What came out of a layer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Unpacked {
    /// Of the blob as it was read, by the algorithm of the one that was expected, else `sha256:…`.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// Of the uncompressed stream, likewise.
    pub diff_id: String,
    /// The bytes of that stream.
    pub bytes: u64,
    /// The entries of the archive.
    pub entries: u64,
    /// Directories that the archive needs but does not describe, relative to the target (empty path: the target
    /// itself), and for which no parent was at hand. They are root's, 0755, until [`fix_implied`](crate::fix_implied).
    pub implied: Vec<PathBuf>,
}

// === impl Limits ===

impl Limits {
    /// There are more than [`bytes`](Self::bytes) of these.
    pub(crate) fn too_many(&self, of: &str) -> Error {
        let text = format!("{}: more than {} bytes {of}", self.what, self.bytes);
        Error::new(Kind::Exhausted, text).hint(format!("raise {} in [registry] of the configuration", self.key))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            what: "layer",
            key: "max_layer_bytes",
            entries: 4_000_000,
            bytes: 1 << 40,
            ratio: 1_500,
            ratio_from: 256 << 20,
            path: 4_096,
            depth: 256,
            header: 1 << 20,
            xattrs: 256 << 10,
        }
    }
}
