use std::{convert::Infallible, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;
use wharf_error::{Error, Result};

use super::{extraction::Extraction, source::Source};
use crate::{
    progress::LayerState,
    selected::Layer,
    spool::{Spool, Stop},
};

// === impl Extraction ===

impl Extraction {
    /// The right to be one of the layers of this image that are on their way.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let closed = |_| Error::internal("images: no turns any more");
        self.turns.clone().acquire_owned().await.map_err(closed)
    }

    /// Where a layer's bytes come to; nothing for one of an archive.
    pub(super) async fn bytes_of(&self, layer: &Layer) -> Result<Option<Arc<Spool>>> {
        let Source::Registry(_) = &*self.source else { return Ok(None) };
        let (spools, descriptor) = (self.core.spools.clone(), layer.descriptor.clone());
        let spool = self.scratch.blocking(move || spools.open(&descriptor)).await??;
        // One blob may be several layers: it is fetched once for all of them.
        let digest = layer.descriptor.digest();
        let twins = self.layers.iter().filter(|twin| twin.index != layer.index && twin.descriptor.digest() == digest);
        twins.for_each(|twin| self.hold(twin, &spool));
        Ok(Some(spool))
    }

    /// Fetches a layer's bytes before it can be unpacked, and keeps them until it is. A failure is told when they are
    /// fetched again.
    pub(super) async fn fetch_ahead(self, layer: Layer) -> Result<()> {
        let Source::Registry(from) = &*self.source else { return Ok(()) };
        let _turn = self.turn().await?;
        if let Some(spool) = self.bytes_of(&layer).await? {
            self.hold(&layer, &spool);
            spool.fetch(from, &self.turns).await?;
        }
        Ok(())
    }

    /// Gets the bytes, and tells how many are here. Has no end of its own: unpacking has.
    pub(super) async fn feed(
        &self,
        layer: &Layer,
        spool: &Arc<Spool>,
        turn: Option<OwnedSemaphorePermit>,
        stop: &Stop,
    ) -> Infallible {
        let fetch = async {
            if let Source::Registry(from) = &*self.source {
                match spool.fetch(from, &self.turns).await {
                    Ok(()) => self.progress.state(layer.index, LayerState::Unpacking),
                    Err(error) => stop.because(error),
                }
            }
            drop(turn);
            std::future::pending().await
        };
        let tell = async {
            let mut progress = self.progress.layer(layer.index);
            loop {
                let arrived = spool.arrived();
                progress.at(arrived);
                spool.more_than(arrived).await;
            }
        };
        tokio::select! {
            never = fetch => never,
            never = tell => never,
        }
    }

    /// Bytes that are of no use: the next try begins anew.
    pub(super) async fn discard_bytes(&self, bytes: Arc<Spool>) -> Result<()> {
        self.release(|held| !Arc::ptr_eq(held, &bytes));
        self.scratch.blocking(move || bytes.discard()).await
    }

    /// A layer is committed: its bytes are not needed any more.
    pub(super) fn done_with_bytes(&self, layer: &Layer, bytes: Option<Arc<Spool>>) {
        let held = self.held().remove(&layer.index);
        bytes.iter().chain(&held).for_each(|spool| spool.finish());
    }

    fn hold(&self, layer: &Layer, spool: &Arc<Spool>) {
        self.held().insert(layer.index, spool.clone());
    }

    fn release(&self, keep: impl Fn(&Arc<Spool>) -> bool) {
        self.held().retain(|_, spool| keep(spool));
    }
}
