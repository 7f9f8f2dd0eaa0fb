use std::{
    io::{self, Read},
    sync::Arc,
};

use flate2::bufread::MultiGzDecoder;
use wharf_error::{Error, Kind, Result};

use super::{Blob, Chunk};
use crate::{Budget, Compression, Limits};

/// The uncompressed bytes of a blob, in chunks.
pub(crate) struct Inflate<R: Read> {
    decoder: Decoder<R>,
    limits: Limits,
    budget: Option<Arc<Budget>>,
    bytes: u64,
}

enum Decoder<R: Read> {
    Plain(Box<Blob<R>>),
    Gzip(Box<MultiGzDecoder<Blob<R>>>),
    Zstd(Box<zstd::Decoder<'static, Blob<R>>>),
}

// === impl Inflate ===

impl<R: Read> Inflate<R> {
    pub(crate) fn open(
        mut blob: Blob<R>,
        declared: Compression,
        limits: &Limits,
        budget: Option<&Arc<Budget>>,
    ) -> Result<Self> {
        let found = match blob.peek() {
            Ok(head) => declared.confirm(head),
            Err(error) => {
                return Err(blob.take_failure().unwrap_or_else(|| Error::internal("layer: read blob").because(error)));
            }
        };
        let decoder = match found {
            Compression::None => Decoder::Plain(Box::new(blob)),
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(blob))),
            Compression::Zstd => {
                let decoder = zstd::Decoder::with_buffer(blob);
                Decoder::Zstd(Box::new(decoder.map_err(|e| Error::internal("layer: zstd").because(e))?))
            }
        };
        Ok(Self { decoder, limits: limits.clone(), budget: budget.cloned(), bytes: 0 })
    }

    /// Fills the chunk; a chunk that is not full is the last one.
    pub(crate) fn fill(&mut self, chunk: &mut Chunk) -> Result<()> {
        chunk.clear();
        while !chunk.room().is_empty() {
            match self.decoder.read(chunk.room()) {
                Ok(0) => break,
                Ok(n) => chunk.grow(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let ours = self.decoder.blob_mut().take_failure();
                    return Err(ours.unwrap_or_else(|| Error::invalid("layer: decompress").because(error)));
                }
            }
        }
        let bytes = chunk.filled().len() as u64;
        if let Some(budget) = &self.budget {
            budget.take(bytes)?;
        }
        self.bytes += bytes;
        self.check_bomb()
    }

    /// The layer is not kept: what it had taken of the budget is free.
    pub(crate) fn give_back(&self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.bytes);
        }
    }

    /// The bytes that came out so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The blob below, wherever decoding stopped.
    pub(crate) fn into_blob(self) -> Blob<R> {
        match self.decoder {
            Decoder::Plain(blob) => *blob,
            Decoder::Gzip(decoder) => decoder.into_inner(),
            Decoder::Zstd(decoder) => decoder.finish(),
        }
    }

    fn check_bomb(&mut self) -> Result<()> {
        let Limits { what, bytes, ratio, ratio_from, .. } = self.limits;
        if self.bytes > bytes {
            return Err(self.limits.too_many("uncompressed"));
        }
        let compressed = self.decoder.blob_mut().consumed();
        if self.bytes > ratio_from && self.bytes / ratio.max(1) > compressed {
            let text = format!("{what}: {} bytes come out of {compressed}: more than {ratio} for one", self.bytes);
            return Err(Error::new(Kind::Exhausted, text));
        }
        Ok(())
    }
}

// === impl Decoder ===

impl<R: Read> Decoder<R> {
    fn blob_mut(&mut self) -> &mut Blob<R> {
        match self {
            Self::Plain(blob) => blob,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(blob) => blob.read(into),
            Self::Gzip(decoder) => decoder.read(into),
            Self::Zstd(decoder) => decoder.read(into),
        }
    }
}
