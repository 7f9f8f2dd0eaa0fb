use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Lines, Sink, Stream, now};

/// Lines are written when they are this many bytes, and at the end of each chunk.
const WRITE: usize = 32 * 1024;

/// A pipe, or a terminal's master, and where its bytes go.
pub struct Source {
    pub owner: u64,
    pub stream: Stream,
    pub fd: OwnedFd,
    /// `None`: only drained, so that the writer never blocks.
    pub sink: Option<Arc<Mutex<Sink>>>,
    pub lines: Option<Lines>,
    /// It is not read while a client that is attached has not taken what came before.
    pub waits: bool,
}

// === impl Source ===

impl Source {
    /// Appends to the file. `out` is a buffer that is empty before and after.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(sink) = &self.sink else { return };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = &mut self.lines else { return sink.append(bytes) };
        let time = now();
        // A chunk of empty lines is many times as long in the file.
        for part in bytes.chunks(WRITE / 64) {
            lines.feed(part, &time, out);
            if out.len() > WRITE {
                sink.append(out);
                out.clear();
            }
        }
        sink.append(out);
        out.clear();
    }

    /// No more will come: what is left is a line.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let (Some(sink), Some(lines)) = (&self.sink, &mut self.lines) else { return };
        lines.finish(&now(), out);
        sink.lock().unwrap_or_else(PoisonError::into_inner).append(out);
        out.clear();
    }
}
