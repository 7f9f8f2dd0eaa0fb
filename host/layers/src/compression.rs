use std::io::{Read, Write};

use flate2::bufread::MultiGzDecoder;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    Limits,
    stream::{Blob, Chunk, Inflate},
};

/// How a layer blob is compressed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compression {
    /// A plain tar stream.
    #[default]
    None,
    /// One or more gzip members, one after another.
    Gzip,
    /// One or more zstd frames, skippable ones (zstd:chunked) among them.
    Zstd,
}

/// A reader of the uncompressed bytes of `reader`, for whatever is not a layer (an imported archive, say).
/// Memory is bounded (zstd windows above 128 MiB are refused); the number of bytes is not.
///
/// # Errors
/// A media type that is no layer's, and whatever reading the first bytes gives.
pub fn decoder<'a>(reader: impl Read + Send + 'a, media_type: &str) -> Result<Box<dyn Read + Send + 'a>> {
    let declared = Compression::of_media_type(media_type)?;
    let mut blob = Blob::new(reader, None);
    let found = match blob.peek() {
        Ok(head) => declared.confirm(head),
        Err(error) => return Err(blob.take_failure().unwrap_or_else(|| Error::internal("read blob").because(error))),
    };
    Ok(match found {
        Compression::None => Box::new(blob),
        Compression::Gzip => Box::new(MultiGzDecoder::new(blob)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(blob).step(|| "blob: zstd".into())?),
    })
}

/// Writes the uncompressed bytes of `reader` into `into`, within the limits on bytes and ratio; answers with their
/// number. For an archive that has to lie on the disk as it is; a layer is [`unpack`](crate::unpack())ed. Blocks for as
/// long as `reader` does, whose errors keep their kind where they carry a [`wharf_error::Error`].
///
/// # Errors
/// `Exhausted` for more bytes than the limits allow, and where there is no room for them; `InvalidArgument` for what
/// cannot be decompressed.
pub fn inflate(reader: impl Read, into: &mut impl Write, limits: &Limits) -> Result<u64> {
    let mut inflate = Inflate::open(Blob::new(reader, None), Compression::None, limits, None)?;
    let mut chunk = Chunk::new();
    loop {
        inflate.fill(&mut chunk)?;
        into.write_all(chunk.filled()).step(|| "write".into())?;
        if !chunk.is_full() {
            return Ok(inflate.bytes());
        }
    }
}

// === impl Compression ===

impl Compression {
    /// What a layer's media type says, OCI's or Docker's, distributable or not.
    ///
    /// # Errors
    /// `Unsupported` for what is no tar layer: encrypted layers, artifacts.
    pub fn of_media_type(media_type: &str) -> Result<Self> {
        let bare = media_type.split(';').next().unwrap_or_default().trim();
        let layer = bare
            .strip_prefix("application/vnd.oci.image.layer.")
            .map(|rest| rest.strip_prefix("nondistributable.").unwrap_or(rest).strip_prefix("v1.").unwrap_or_default());
        let docker = bare
            .strip_prefix("application/vnd.docker.image.rootfs.")
            .map(|rest| rest.strip_prefix("foreign.").unwrap_or(rest).strip_prefix("diff.").unwrap_or_default());
        match layer.or(docker) {
            Some("tar") => Ok(Self::None),
            Some("tar+gzip" | "tar.gzip") => Ok(Self::Gzip),
            Some("tar+zstd" | "tar.zstd") => Ok(Self::Zstd),
            _ => Err(Error::new(Kind::Unsupported, format!("layer media type {media_type:?} is not supported"))
                .hint("tar layers, plain or compressed with gzip or zstd, can be unpacked")),
        }
    }

    /// What the first bytes are. `self` is what was declared, and only worth a log line.
    pub(crate) fn confirm(self, head: &[u8]) -> Self {
        let found = match *head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        };
        if found != self && !head.is_empty() {
            tracing::debug!(declared = ?self, ?found, "layer: media type and first bytes disagree, bytes win");
        }
        found
    }
}
