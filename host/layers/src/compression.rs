use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use wharf_error::{Error, Kind, Result, ResultExt as _};

const BUFFER: usize = 128 << 10;
const MAGIC: usize = 4;

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
    let (found, reader) = declared.confirm(reader).step(|| "blob: read".into())?;
    Ok(match found {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, reader))),
        Compression::Zstd => {
            let reader = BufReader::with_capacity(BUFFER, reader);
            Box::new(zstd::Decoder::with_buffer(reader).step(|| "blob: zstd".into())?)
        }
    })
}

/// A reader whose first bytes were looked at.
pub(crate) type Sniffed<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

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
    pub(crate) fn confirm<R: Read>(self, mut reader: R) -> io::Result<(Self, Sniffed<R>)> {
        let mut head = Vec::with_capacity(MAGIC);
        reader.by_ref().take(MAGIC as u64).read_to_end(&mut head)?;
        let found = match *head.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::None,
        };
        if found != self && !head.is_empty() {
            tracing::debug!(declared = ?self, ?found, "layer: media type and first bytes disagree, bytes win");
        }
        Ok((found, io::Cursor::new(head).chain(reader)))
    }
}
