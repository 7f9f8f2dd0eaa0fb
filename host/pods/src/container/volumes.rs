//! Images that are mounted into a container.

use std::collections::BTreeMap;

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::{ImageMount, LayerMount};

use super::{
    Container,
    record::{ImageVolume, VolumeView},
};
use crate::{entry::ContainerEntry, inner::Inner};

/// Between a container's id and the number of its view.
const MARK: &str = ".volume.";

pub(super) fn views(id: &str, volumes: &[ImageVolume]) -> Vec<VolumeView> {
    let view = |(number, volume): (usize, &ImageVolume)| VolumeView {
        destination: volume.destination.clone(),
        sub_path: volume.sub_path.clone(),
        image_id: volume.image.id.clone(),
        chain_id: volume.image.chain_id.clone(),
        key: format!("{id}{MARK}{number}"),
    };
    volumes.iter().enumerate().map(view).collect()
}

/// The container that a snapshot is a root or a view of, by its key.
pub(crate) fn owner_of(key: &str) -> Option<&str> {
    let id = key.split_once(MARK).map_or(key, |(id, _)| id);
    (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

// === impl Inner ===

impl Inner {
    /// Makes a view of each image, and has the shim try them: what is wrong with one is known now, not at the start.
    pub(super) async fn look_at_volumes(&self, entry: &ContainerEntry) -> Result<()> {
        let container = entry.row();
        if container.volumes.is_empty() {
            return Ok(());
        }
        // The kubelet's own word, which it looks for at the beginning.
        let failed = |error: Error| {
            Error::new(Kind::Unknown, format!("ImageVolumeMountFailed: container {}", container.id)).because(error)
        };
        for view in &container.volumes {
            let parent = Some(view.chain_id.as_str()).filter(|chain| !chain.is_empty());
            let made = self.snapshots.view(&self.config.namespace, &view.key, parent, BTreeMap::new()).await;
            made.map_err(failed)?;
        }
        let shim = self.pod_entry(&container.pod_id)?.shim().await?;
        let (root, mounts) = self.image_mounts(&container).await?;
        shim.check_image_mounts(root, mounts).await.map_err(failed)
    }

    /// The layers' folder, and how each image is mounted.
    pub(super) async fn image_mounts(&self, container: &Container) -> Result<(std::path::PathBuf, Vec<ImageMount>)> {
        let mut all = Vec::new();
        for view in &container.volumes {
            let layers = self.snapshots.mounts(&self.config.namespace, &view.key).await?;
            let layers = layers.mounts.into_iter();
            all.push(ImageMount {
                destination: view.destination.clone(),
                layers: layers
                    .map(|mount| LayerMount { kind: mount.type_, source: mount.source, options: mount.options })
                    .collect(),
                sub_path: view.sub_path.clone(),
            });
        }
        Ok((self.snapshots.root().to_owned(), all))
    }

    /// Safe to repeat.
    pub(super) async fn remove_views(&self, container: &Container) -> Result<()> {
        for view in &container.volumes {
            match self.snapshots.remove(&self.config.namespace, &view.key).await {
                Err(error) if !error.is_not_found() => {
                    return Err(error).step(|| format!("remove the view of image {}", view.image_id));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_whose_it_is() {
        let id = "0".repeat(64);
        assert_eq!(owner_of(&id), Some(id.as_str()));
        assert_eq!(owner_of(&format!("{id}.volume.3")), Some(id.as_str()));
        for other in ["", "sha256:abc", &format!("{id}0"), &format!("x{id}.volume.1")] {
            assert_eq!(owner_of(other), None, "{other}");
        }
    }
}
