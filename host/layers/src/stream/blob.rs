use std::io::{self, BufRead, Read};

use wharf_error::{Error, Kind, Result};

use super::{Digest, verify};
use crate::Descriptor;

const BUFFER: usize = 128 << 10;
const MAGIC: usize = 4;

/// The compressed bytes: buffered, hashed, and never more than were announced.
pub(crate) struct Blob<R> {
    reader: R,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    digest: Digest,
    expected: Option<Descriptor>,
    /// Why the reader below gave up, so that a decoder's own errors are told from it.
    failed: Option<Error>,
}

// === impl Blob ===

impl<R: Read> Blob<R> {
    pub(crate) fn new(reader: R, expected: Option<Descriptor>) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let digest = Digest::like(expected.as_ref().map(|expected| expected.digest.as_str()));
        Self { reader, buffer, at: 0, end: 0, digest, expected, failed: None }
    }

    /// The first bytes, unconsumed; fewer than four only when the blob has no more.
    pub(crate) fn peek(&mut self) -> io::Result<&[u8]> {
        while self.end - self.at < MAGIC && self.more()? > 0 {}
        Ok(&self.buffer[self.at..self.end])
    }

    pub(crate) fn consumed(&self) -> u64 {
        self.digest.bytes()
    }

    /// Why reading failed, if it was the reader that failed.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.failed.take()
    }

    /// Reads what is left, and gives digest and size once they are what was announced.
    pub(crate) fn finish(mut self) -> Result<(String, u64)> {
        loop {
            self.at = 0;
            self.end = 0;
            match self.more() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(self.failed.take().unwrap_or_else(|| reading(error))),
            }
        }
        let (digest, size) = self.digest.finish();
        if let Some(expected) = &self.expected {
            if size != expected.size {
                let what = format!("layer {}: blob has {size} bytes, not {}", expected.digest, expected.size);
                return Err(Error::new(Kind::DataLoss, what));
            }
            verify("blob digest", &digest, &expected.digest)?;
        }
        Ok((digest, size))
    }

    /// Appends to the buffer what one read gives; zero at the end.
    fn more(&mut self) -> io::Result<usize> {
        let n = loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(n) => break n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = Some(reading(error));
                    return Err(io::Error::other("blob: read failed"));
                }
            }
        };
        self.digest.update(&self.buffer[self.end..self.end + n]);
        self.end += n;
        if let Some(expected) = self.expected.as_ref().filter(|expected| self.digest.bytes() > expected.size) {
            let what = format!("layer {}: blob has more than {} bytes", expected.digest, expected.size);
            self.failed = Some(Error::new(Kind::DataLoss, what));
            return Err(io::Error::other("blob: too long"));
        }
        Ok(n)
    }
}

impl<R: Read> BufRead for Blob<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.end {
            self.at = 0;
            self.end = 0;
            self.more()?;
        }
        Ok(&self.buffer[self.at..self.end])
    }

    fn consume(&mut self, n: usize) {
        self.at = self.end.min(self.at + n);
    }
}

impl<R: Read> Read for Blob<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let n = chunk.len().min(into.len());
        into[..n].copy_from_slice(&chunk[..n]);
        self.consume(n);
        Ok(n)
    }
}

/// An error of the caller's reader. One of ours in an I/O error's clothes keeps its kind.
fn reading(error: io::Error) -> Error {
    if !error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::new(Kind::DataLoss, "layer: blob ends early").because(error),
            io::ErrorKind::TimedOut => Error::new(Kind::DeadlineExceeded, "layer: read blob").because(error),
            _ => Error::new(Kind::Unavailable, "layer: read blob").because(error),
        };
    }
    match error.into_inner().map(<dyn std::error::Error + Send + Sync>::downcast::<Error>) {
        Some(Ok(ours)) => Error::new(ours.kind(), "layer: read blob").because(*ours),
        _ => Error::new(Kind::Unavailable, "layer: read blob"),
    }
}
