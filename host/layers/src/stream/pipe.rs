use std::{
    io::{self, BufRead, Read},
    sync::mpsc::{Receiver, Sender, channel},
};

use super::Digest;

/// Uncompressed bytes that are handed on at a time: small enough to stay in the cache of a core.
const CHUNK: usize = 256 << 10;
/// Chunks between the two threads. Their number is what holds the faster one back.
const CHUNKS: usize = 6;

/// A buffer of uncompressed bytes that goes round. One that is not full is the last.
pub(crate) struct Chunk {
    bytes: Box<[u8]>,
    filled: usize,
}

/// The writing end of a pipe between threads: empty chunks come back, full ones go out.
pub(crate) struct Conveyor {
    full: Sender<Chunk>,
    spent: Receiver<Chunk>,
    made: usize,
}

/// The uncompressed stream as a reader that hashes: the diffID is of all that passed.
pub(crate) struct Plain {
    chunk: Chunk,
    at: usize,
    digest: Digest,
    /// Where the next chunk comes from; none behind the last.
    next: Option<Arrivals>,
}

struct Arrivals {
    full: Receiver<Chunk>,
    spent: Sender<Chunk>,
}

/// A stream whose first chunk is there, and its writing end unless that was all; hashed like `diff_id`.
pub(crate) fn pipe(first: Chunk, diff_id: Option<&str>) -> (Plain, Option<Conveyor>) {
    let mut digest = Digest::like(diff_id);
    digest.update(first.filled());
    if !first.is_full() {
        return (Plain { chunk: first, at: 0, digest, next: None }, None);
    }
    let (full, arriving) = channel();
    let (used, spent) = channel();
    let next = Some(Arrivals { full: arriving, spent: used });
    (Plain { chunk: first, at: 0, digest, next }, Some(Conveyor { full, spent, made: 1 }))
}

// === impl Chunk ===

impl Chunk {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; CHUNK].into_boxed_slice(), filled: 0 }
    }

    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Where more bytes go.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// Counts bytes that were put into the room.
    pub(crate) fn grow(&mut self, n: usize) {
        self.filled = self.bytes.len().min(self.filled + n);
    }
}

// === impl Conveyor ===

impl Conveyor {
    /// An empty chunk, once there is one; none when the reader is gone.
    pub(crate) fn empty(&mut self) -> Option<Chunk> {
        if self.made < CHUNKS {
            self.made += 1;
            return Some(Chunk::new());
        }
        self.spent.recv().ok()
    }

    /// Whether the reader still wants it.
    pub(crate) fn send(&self, chunk: Chunk) -> bool {
        self.full.send(chunk).is_ok()
    }
}

// === impl Plain ===

impl Plain {
    /// The stream's digest and length, once all of it was read.
    pub(crate) fn finish(self) -> (String, u64) {
        self.digest.finish()
    }

    fn advance(&mut self, next: Arrivals) -> io::Result<()> {
        let gone = || io::Error::other("the stream broke off");
        let mut chunk = next.full.recv().map_err(|_| gone())?;
        self.digest.update(chunk.filled());
        std::mem::swap(&mut self.chunk, &mut chunk);
        self.at = 0;
        if self.chunk.is_full() {
            // The other side may have sent its last and be gone.
            let _ = next.spent.send(chunk);
            self.next = Some(next);
        }
        Ok(())
    }
}

impl BufRead for Plain {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.filled
            && let Some(next) = self.next.take()
        {
            self.advance(next)?;
        }
        Ok(&self.chunk.filled()[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at = self.chunk.filled.min(self.at + n);
    }
}

impl Read for Plain {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let n = chunk.len().min(into.len());
        into[..n].copy_from_slice(&chunk[..n]);
        self.consume(n);
        Ok(n)
    }
}
