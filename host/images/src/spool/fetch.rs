use std::{collections::VecDeque, ops::Range, sync::Arc};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wharf_error::Result;
use wharf_registry::BlobStream;

use super::Spool;
use crate::extract::Repository;

/// Bytes that one request asks for, where the host knows ranges and the blob is larger than two of them: enough that
/// the time of a request does not matter.
const PART: u64 = 16 << 20;
/// Connections for one blob.
const CONNECTIONS: usize = 4;
/// Packets that are written together.
const PACKETS: usize = 64;

// === impl Spool ===

impl Spool {
    /// Gets the bytes that are not here yet. Where somebody else is at it, waits; where that one gives up, goes on.
    ///
    /// One connection is the caller's; a large blob takes more while `turns` has some left.
    ///
    /// # Errors
    /// As [`wharf_registry::Client::blob_part`]; those of the disk. What has arrived stays for the next try.
    pub async fn fetch(&self, from: &Repository, turns: &Arc<Semaphore>) -> Result<()> {
        let _lead = self.lead.lock().await;
        let mut queue = self.parts();
        let Some(first) = queue.pop_front() else { return Ok(()) };
        let opened = self.open(from, first.clone()).await?;
        if opened.end > first.end {
            // The host sends all that follows too.
            queue.clear();
        }
        let mut running: FuturesUnordered<BoxFuture<'_, Result<()>>> = FuturesUnordered::new();
        running.push(self.store(first.start..opened.end, opened.stream).boxed());
        loop {
            while let Some(turn) = self.another(&running, &queue, turns) {
                let Some(part) = queue.pop_front() else { break };
                running.push(self.part(from, part, turn).boxed());
            }
            match running.next().await {
                Some(part) => part?,
                None => return Ok(()),
            }
        }
    }

    /// Whether there is room for another connection: the caller's own, or one more.
    fn another(
        &self,
        running: &FuturesUnordered<BoxFuture<'_, Result<()>>>,
        queue: &VecDeque<Range<u64>>,
        turns: &Arc<Semaphore>,
    ) -> Option<Option<OwnedSemaphorePermit>> {
        match running.len() {
            _ if queue.is_empty() => None,
            0 => Some(None),
            CONNECTIONS.. => None,
            _ => turns.clone().try_acquire_owned().ok().map(Some),
        }
    }

    fn parts(&self) -> VecDeque<Range<u64>> {
        let missing = self.filled.borrow().missing(self.descriptor.size());
        let cut = |gap: Range<u64>| {
            let size = if gap.end - gap.start > 2 * PART { PART } else { gap.end - gap.start };
            let starts = (gap.start..gap.end).step_by(usize::try_from(size).unwrap_or(usize::MAX));
            starts.map(move |start| start..gap.end.min(start + size))
        };
        missing.into_iter().flat_map(cut).collect()
    }

    async fn open(&self, from: &Repository, part: Range<u64>) -> Result<wharf_registry::BlobPart> {
        from.client.blob_part(&from.reference, &self.descriptor, from.auth.as_ref(), part).await
    }

    async fn part(&self, from: &Repository, part: Range<u64>, turn: Option<OwnedSemaphorePermit>) -> Result<()> {
        let opened = self.open(from, part.clone()).await?;
        // A host that knows no ranges after all goes on to the end: others are at that.
        self.store(part, opened.stream).await?;
        drop(turn);
        Ok(())
    }

    /// Writes what has come together; what came before an error too.
    async fn store(&self, part: Range<u64>, stream: BlobStream) -> Result<()> {
        let mut stream = stream.ready_chunks(PACKETS);
        let mut at = part.start;
        while at < part.end {
            let Some(packets) = stream.next().await else { break };
            let mut chunks = Vec::with_capacity(packets.len());
            let mut failed = Ok(());
            for packet in packets {
                match packet {
                    Ok(chunk) => chunks.push(chunk),
                    Err(error) => failed = Err(error),
                }
            }
            at = self.write(at, chunks).await?;
            failed?;
        }
        Ok(())
    }
}
