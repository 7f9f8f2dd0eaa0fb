use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::mount::{UnmountFlags, unmount};
use wharf_crash_points::point;
use wharf_error::{Result, ResultExt as _};

use super::{Pod, record::Stage, run::blocking};
use crate::{Pods, entry::PodEntry, inner::Inner};

impl Pods {
    /// Stops the pod if it runs, removes its containers, then its folder and its record.
    ///
    /// Idempotent: a pod that is gone is success.
    pub async fn remove_pod(&self, id: &str) -> Result<()> {
        let entry = match self.inner.pod_entry(id) {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        let (inner, what) = (self.inner.clone(), format!("remove pod sandbox {}", entry.row().id));
        self.inner
            .detached(what, Duration::ZERO, async move {
                let _life = entry.life.take().await;
                inner.remove_pod(&entry).await
            })
            .await
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) async fn remove_pod(&self, entry: &PodEntry) -> Result<()> {
        let pod = entry.row();
        self.stop_pod(entry).await?;
        if pod.stage != Stage::Removing {
            self.update_pod(entry, |pod| {
                pod.stage = Stage::Removing;
                pod.pid = None;
            })
            .await?;
        }
        for container in self.containers_of(&pod.id) {
            let _life = container.life.take().await;
            self.remove_container(&container).await.step(|| format!("remove pod sandbox {}", pod.id))?;
        }
        point!("pods.remove.containers");
        self.forget_pod_and_folder(&pod).await?;
        tracing::info!(pod = %pod.id, "pod sandbox is removed");
        Ok(())
    }

    pub(crate) async fn forget_pod_and_folder(&self, pod: &Pod) -> Result<()> {
        let (dir, netns) = (self.pod_dir(&pod.id), pod.netns().map(PathBuf::from));
        blocking("remove the pod's folder", move || {
            if let Some(left) = netns.filter(|path| path.exists()) {
                unpin(&left);
            }
            match fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).step(|| format!("remove the folder {}", dir.display()))
                }
                _ => Ok(()),
            }
        })
        .await?;
        point!("pods.remove.folder");
        self.forget_pod(pod).await
    }
}

/// What the supervisor pinned it has unpinned, unless its folder was taken away, or somebody has put a file there since. No
/// pod stays for that.
fn unpin(netns: &Path) {
    // Not mounted, most often.
    let _ = unmount(netns, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    if let Err(error) = fs::remove_file(netns) {
        tracing::warn!(path = %netns.display(), %error, "remove the place of a pod's network namespace");
    }
}
