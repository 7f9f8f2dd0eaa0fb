use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wharf_error::Result;
use wharf_registry::BlobStream;

use crate::{progress::LayerReporter, scratch::cancelled};

/// Packets between the network and the thread that unpacks: about a megabyte.
const PACKETS: usize = 64;

/// The bytes of a download, read by a blocking thread.
pub(super) struct FeedReader {
    packets: mpsc::Receiver<Result<Bytes>>,
    current: Bytes,
    ended: bool,
}

/// Reads a file until the work is to end.
pub(super) struct FileReader {
    file: Box<dyn Read + Send>,
    cancel: CancellationToken,
    progress: LayerReporter,
}

pub(super) fn channel() -> (mpsc::Sender<Result<Bytes>>, FeedReader) {
    let (sender, packets) = mpsc::channel(PACKETS);
    (sender, FeedReader { packets, current: Bytes::new(), ended: false })
}

/// Passes a download on. An empty packet is its end: a channel that closes without one was cut off.
pub(super) async fn feed(mut stream: BlobStream, sender: mpsc::Sender<Result<Bytes>>, mut progress: LayerReporter) {
    while let Some(packet) = stream.next().await {
        let failed = packet.is_err();
        if let Ok(bytes) = &packet {
            progress.arrived(bytes.len());
            if bytes.is_empty() {
                continue;
            }
        }
        // Nobody reads any more: the reader knows why.
        if sender.send(packet).await.is_err() || failed {
            return;
        }
    }
    let _ = sender.send(Ok(Bytes::new())).await;
}

// === impl FeedReader ===

impl Read for FeedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.packets.blocking_recv() {
                Some(Ok(packet)) if packet.is_empty() => self.ended = true,
                Some(Ok(packet)) => self.current = packet,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(io::Error::other(cancelled())),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

// === impl FileReader ===

impl FileReader {
    pub fn new(file: Box<dyn Read + Send>, cancel: CancellationToken, progress: LayerReporter) -> Self {
        Self { file, cancel, progress }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other(cancelled()));
        }
        let count = self.file.read(buffer)?;
        self.progress.arrived(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use wharf_error::{Error, Kind};

    use super::*;
    use crate::progress::Reporter;

    async fn read(packets: Vec<Result<Bytes>>, cut_off: bool) -> io::Result<Vec<u8>> {
        let (sender, mut reader) = channel();
        let thread = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        if cut_off {
            for packet in packets {
                sender.send(packet).await.unwrap();
            }
            drop(sender);
        } else {
            feed(Box::pin(stream::iter(packets)), sender, Reporter::new().layer(0)).await;
        }
        thread.await.unwrap()
    }

    #[tokio::test]
    async fn the_end_is_told_from_a_cut() {
        let packets = || vec![Ok(Bytes::from_static(b"ab")), Ok(Bytes::new()), Ok(Bytes::from_static(b"c"))];
        assert_eq!(read(packets(), false).await.unwrap(), b"abc");
        let cut = read(vec![Ok(Bytes::from_static(b"ab"))], true).await.unwrap_err();
        assert_eq!(cut.get_ref().unwrap().downcast_ref::<Error>().unwrap().kind(), Kind::Cancelled);
    }

    #[tokio::test]
    async fn an_error_of_the_download_reaches_the_reader_with_its_kind() {
        let failed = vec![Ok(Bytes::from_static(b"ab")), Err(Error::new(Kind::Unavailable, "gone"))];
        let error = read(failed, false).await.unwrap_err();
        assert_eq!(error.get_ref().unwrap().downcast_ref::<Error>().unwrap().kind(), Kind::Unavailable);
    }
}
