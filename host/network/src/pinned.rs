use std::path::Path;

use wharf_error::{Result, ResultExt as _};

/// The file system of namespaces.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// Whether a namespace is still pinned at this path: somebody may have taken it away, or the machine was started anew.
///
/// # Errors
///
/// Only where the look itself is cut short.
pub async fn is_pinned(netns: &Path) -> Result<bool> {
    let path = netns.to_owned();
    let look = move || {
        rustix::fs::statfs(&path).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| kind == NSFS_MAGIC))
    };
    tokio::task::spawn_blocking(look).await.step(|| format!("look for the network namespace {}", netns.display()))
}
