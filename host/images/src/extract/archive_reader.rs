use std::io::{self, Read};

use tokio_util::sync::CancellationToken;

use crate::{progress::LayerReporter, scratch::cancelled};

/// Reads a layer of an archive until the work is to end.
pub(super) struct ArchiveReader {
    file: Box<dyn Read + Send>,
    cancel: CancellationToken,
    progress: LayerReporter,
    read: u64,
}

// === impl ArchiveReader ===

impl ArchiveReader {
    pub fn new(file: Box<dyn Read + Send>, cancel: CancellationToken, progress: LayerReporter) -> Self {
        Self { file, cancel, progress, read: 0 }
    }
}

impl Read for ArchiveReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other(cancelled()));
        }
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        self.progress.at(self.read);
        Ok(count)
    }
}
