use std::{fs, io, time::Duration};

use wharf_crash_points::point;
use wharf_error::{Result, ResultExt as _};

use super::record::Stage;
use crate::{Pods, entry::ContainerEntry, inner::Inner, pod::blocking};

impl Pods {
    /// Kills the container if it runs, then removes its root, its bundle and its record. Its log stays: that is
    /// the client's.
    ///
    /// Idempotent: a container that is gone is success.
    pub async fn remove_container(&self, id: &str) -> Result<()> {
        let entry = match self.inner.recovered_entry(id).await {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        let (inner, what) = (self.inner.clone(), format!("remove container {}", entry.row().id));
        self.inner
            .detached(what, Duration::ZERO, async move {
                let _life = entry.life.take().await;
                inner.remove_container(&entry).await
            })
            .await
    }
}

// === impl Inner ===

impl Inner {
    /// Callers hold the container's `life`. Safe to repeat after a crash at any point.
    pub(crate) async fn remove_container(&self, entry: &ContainerEntry) -> Result<()> {
        let container = entry.row();
        if self.container_entry(&container.id).is_err() {
            return Ok(());
        }
        let what = || format!("remove container {}", container.id);
        self.stop_container(entry, Duration::ZERO).await.step(what)?;
        self.update_container(entry, |row| row.stage = Stage::Removing).await?;
        // The mount namespace of its last process holds the root; only an empty group says that it is gone.
        self.kill_group(&container.cgroup).await.step(what)?;
        point!("pods.remove-container.cgroup");
        match self.snapshots.remove(&self.config.namespace, container.snapshot_key()).await {
            Err(error) if !error.is_not_found() => return Err(error).step(what),
            _ => {}
        }
        point!("pods.remove-container.root");
        self.remove_views(&container).await.step(what)?;
        point!("pods.remove-container.views");
        let bundle = container.bundle(&self.pods_dir());
        blocking("remove the container's bundle", move || match fs::remove_dir_all(&bundle) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).step(|| format!("remove the folder {}", bundle.display()))
            }
            _ => Ok(()),
        })
        .await?;
        point!("pods.remove-container.folder");
        self.forget_container(&container).await?;
        let volumes = container.volumes.iter().map(|view| view.image_id.as_str());
        for image in volumes.chain([container.image_id.as_str()]) {
            self.collect_layers(image).await;
        }
        tracing::info!(container = %container.id, "container is removed");
        Ok(())
    }

    /// The layers of an image that was removed while this container stood on them.
    async fn collect_layers(&self, image: &str) {
        let namespace = &self.config.namespace;
        let collected = match self.images.get(namespace, image).await {
            Ok(Some(_)) => return,
            Ok(None) => self.images.collect(namespace).await,
            Err(error) => Err(error),
        };
        if let Err(error) = collected {
            tracing::warn!(image, %error, "remove the layers of an image that is gone; the next removal tries again");
        }
    }
}
