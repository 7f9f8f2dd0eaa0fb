//! A pod whose shim is there and does not answer a new daemon: what ran is asked after until there is an answer.

use std::{sync::Arc, time::Duration};

use tracing::Instrument as _;
use wharf_error::Kind;

use crate::{container::Stage, entry::ContainerEntry, inner::Inner, shim::Shim};

/// A pause between two questions.
const AGAIN: Duration = Duration::from_secs(1);

// === impl Inner ===

impl Inner {
    /// Asks a shim that is silent after a container that ran by the books, until there is an answer or the container is
    /// ended otherwise.
    pub(crate) fn ask_later(self: &Arc<Self>, entry: Arc<ContainerEntry>, shim: Shim) {
        let (inner, span) = (self.clone(), tracing::info_span!("recover later", container = %entry.row().id));
        tokio::spawn(
            async move {
                while entry.is_running() {
                    if inner.is_answered(&entry, &shim).await {
                        return;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
            .instrument(span),
        );
    }

    /// Whether the shim has said how the container is, and the books have it. The container's `life` is taken only where
    /// its start is undone: who stops or removes it holds that, and waits for the end to be booked.
    async fn is_answered(self: &Arc<Self>, entry: &Arc<ContainerEntry>, shim: &Shim) -> bool {
        match shim.ping().await {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::DeadlineExceeded => {
                tracing::debug!(%error, "the pod's supervisor still does not answer");
                return false;
            }
            // A connection may break without its end; where there is none to be had, the end is unseen.
            Err(_) if shim.reconnect().await.is_ok() => return false,
            Err(_) => {}
        }
        let _life = match entry.row().stage {
            Stage::Starting => Some(entry.life.take().await),
            _ => None,
        };
        let row = entry.row();
        if !row.is_under_way() {
            return true;
        }
        match self.ask_after(entry, &row, shim).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "recover a container; it is asked after again");
                false
            }
        }
    }
}
