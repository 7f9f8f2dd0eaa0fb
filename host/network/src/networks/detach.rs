use std::{
    path::{Path, PathBuf},
    sync::PoisonError,
    time::Instant,
};

use wharf_error::{Result, ResultExt as _};
use wharf_steps::step;

use super::{Inner, Networks};
use crate::pinned::is_pinned;

impl Networks {
    /// Detaches a pod from all that it is attached to or may be, the last network first.
    ///
    /// Nothing attached is success. To be repeated after an error; what is done then is not asked for again. A network
    /// namespace that is gone is no obstacle. Not to be cancelled, and one call a pod at a time.
    ///
    /// # Errors
    ///
    /// What the plugin says that fails. The attachment stays in the books.
    pub async fn detach(&self, pod: &str) -> Result<()> {
        let inner = &*self.inner;
        if !self.holds(pod) {
            return Ok(());
        }
        let _no_collection =
            step(|| "wait for the collection of leaked network attachments".into(), inner.collecting.read()).await;
        let Some(mut row) = inner.rows().get(pod).cloned() else { return Ok(()) };
        if row.settled {
            row.settled = false;
            inner.put(&row).await?;
        }
        inner.wait_for_strays(pod).await?;
        let target = row.target(there(&row.netns).await?);
        while let Some(joined) = row.joined.last() {
            if joined.begun {
                inner.plugins.del(&joined.network, &target, &joined.interface, joined.result.as_ref()).await?;
            }
            row.joined.pop();
            if !row.joined.is_empty() {
                inner.put(&row).await?;
            }
        }
        inner.forget(pod).await
    }
}

// === impl Inner ===

impl Inner {
    /// Until what the last daemon left at work on this pod has ended: a plugin is given the time that it always has.
    async fn wait_for_strays(&self, pod: &str) -> Result<()> {
        let strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner).remove(pod).unwrap_or_default();
        if strays.is_empty() {
            return Ok(());
        }
        let (begin, deadline) = (Instant::now(), self.config.plugin_deadline);
        let wait = move || {
            for stray in strays {
                stray.end_within(deadline.saturating_sub(begin.elapsed()));
            }
        };
        let waiting = tokio::task::spawn_blocking(wait);
        step(|| "wait for network plugins of the daemon before this one".into(), waiting)
            .await
            .step(|| "wait for network plugins of the daemon before this one".into())
    }
}

/// The path where it is a namespace still; else the empty one, by which plugins know that there is none to clean up.
async fn there(netns: &Path) -> Result<PathBuf> {
    Ok(if is_pinned(netns).await? { netns.to_owned() } else { PathBuf::new() })
}
