use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt as _, stream};
use tokio::sync::Mutex;
use wharf_error::{Result, ResultExt as _};
use wharf_snapshots::Measured;
use wharf_store::split_key;

use crate::{book::Namespaces, core::Core};

/// What is used of the file system that images and layers are on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FsInfo {
    /// A folder on that file system.
    pub path: PathBuf,
    /// Bytes of all layers and documents.
    pub used_bytes: u64,
    /// Files and folders of all layers and documents.
    pub inodes: u64,
    /// When it was summed up, in nanoseconds since 1970; what is being written to was measured half a minute before at most,
    /// unless that takes longer.
    pub measured: i64,
}

/// The last sum, of what each layer took lately.
#[derive(Debug, Default)]
pub(crate) struct FsInfoCache {
    last: Mutex<Option<(Instant, FsInfo)>>,
}

const GOOD_FOR: Duration = Duration::from_secs(10);
/// So many layers are asked after at once.
const AT_ONCE: usize = 16;

// === impl FsInfoCache ===

impl FsInfoCache {
    /// Images have changed.
    pub async fn invalidate(&self) {
        *self.last.lock().await = None;
    }
}

// === impl Core ===

impl Core {
    pub async fn fs_info(&self) -> Result<FsInfo> {
        // Held while it is measured: who asks meanwhile gets the same answer.
        let mut last = self.fs_info.last.lock().await;
        if let Some((_, info)) = last.as_ref().filter(|(at, _)| at.elapsed() < GOOD_FOR) {
            return Ok(info.clone());
        }
        let info = self.measure().await?;
        *last = Some((Instant::now(), info.clone()));
        Ok(info)
    }

    async fn measure(&self) -> Result<FsInfo> {
        let content = self.content.clone();
        let usage = tokio::task::spawn_blocking(move || content.usage());
        let (mut used_bytes, mut inodes) = usage.await.step(|| "images: measure".into())??;
        for namespace in self.namespaces().await? {
            let snapshots = self.snapshots.list(&namespace).await?;
            let measured = stream::iter(snapshots)
                .map(|info| {
                    let namespace = &namespace;
                    async move { self.snapshots.usage_lately(namespace, &info.key).await }
                })
                .buffer_unordered(AT_ONCE)
                .collect::<Vec<_>>();
            // What was removed meanwhile, is broken or has never been measured takes nothing that could be told.
            for Measured { usage, .. } in measured.await.into_iter().flatten() {
                used_bytes = used_bytes.saturating_add(usage.bytes);
                inodes = inodes.saturating_add(usage.inodes);
            }
        }
        Ok(FsInfo { path: self.config.fs_path.clone(), used_bytes, inodes, measured: now() })
    }

    /// Every namespace that has, or had, images.
    pub async fn namespaces(&self) -> Result<Vec<String>> {
        let rows = self.store.query(|reader| reader.list::<Namespaces>("")).await?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, _)| split_key(&key).map(|(namespace, _)| namespace.into_owned()))
            .collect())
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
