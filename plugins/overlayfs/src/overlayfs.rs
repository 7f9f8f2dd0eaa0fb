use wharf_plugin_sdk::{
    Code, Content, Error, Features, Kind, Layer, LayerId, Lower, NoConfig, Plan, Result, Snapshotter, Usage,
    layer_dir::{self, Access},
};

use crate::place::{FS, fs, whole, work};

/// What the root of a layer without parents has until its first tar entry says otherwise.
const NEW_ROOT: Access = Access { mode: 0o755, uid: 0, gid: 0 };

/// Overlayfs makes its own `work/work` inside; nobody else has business there.
const SCRATCH: Access = Access { mode: 0o711, uid: 0, gid: 0 };

/// The snapshotter.
#[derive(Debug)]
pub struct Overlayfs;

// === impl Overlayfs ===

impl Snapshotter for Overlayfs {
    type Config = NoConfig;

    fn new(_config: NoConfig) -> Self {
        Self
    }

    fn probe(&self) -> Result<Features> {
        layer_dir::layers().map_err(|error| error.at("look into the folder"))?;
        // Nothing of a layer depends on its parents until it is mounted.
        Ok(Features { content: Content::OverlayDiff(FS.to_owned()), extra: vec!["unordered".to_owned()] })
    }

    fn prepare(&self, layer: &Layer, plan: &Plan) -> Result<()> {
        let id = layer.id();
        match layer.kind() {
            Kind::Active => {
                let access = match layer.parents().first() {
                    Some(&parent) => layer_dir::get_access(&fs(parent)).map_err(|error| error.at("parent's root"))?,
                    None => NEW_ROOT,
                };
                // The root of a mounted overlay is the upper's, so it must look like the parent's. `fs` comes last:
                // a layer that has it is whole.
                layer_dir::make(&work(id), SCRATCH)?;
                layer_dir::make(&fs(id), access)?;
            }
            // A view has nothing of its own, but `layers` must know of it, and a view of nothing shows an empty root.
            Kind::View => layer_dir::make(&fs(id), NEW_ROOT)?,
            Kind::Committed => return Err(already_committed(id)),
        }
        self.mounts(layer, plan)
    }

    fn mounts(&self, layer: &Layer, plan: &Plan) -> Result<()> {
        let (id, parents) = (layer.id(), layer.parents());
        let on_parents = || parents.iter().map(|&parent| Lower::Directory(fs(parent)));
        match (layer.kind(), parents.as_slice()) {
            (Kind::Active, []) => plan.bind(&fs(id), false)?,
            (Kind::Active, _) => plan.overlay(on_parents().collect(), Some((fs(id), work(id))))?,
            (Kind::View | Kind::Committed, []) => plan.bind(&fs(id), true)?,
            (Kind::View, [parent]) => plan.bind(&fs(*parent), true)?,
            (Kind::View, _) => plan.overlay(on_parents().collect(), None)?,
            (Kind::Committed, _) => {
                plan.overlay(std::iter::once(Lower::Directory(fs(id))).chain(on_parents()).collect(), None)?
            }
        };
        Ok(())
    }

    fn commit(&self, layer: &Layer) -> Result<Usage> {
        let id = layer.id();
        let usage = layer_dir::measure(&fs(id))?;
        // A committed layer is a lower for ever: what a mount left in its scratch directory is of no use.
        layer_dir::remove(&work(id))?;
        Ok(usage)
    }

    fn remove(&self, layer: LayerId) -> Result<()> {
        layer_dir::remove(&whole(layer))
    }

    fn measure(&self, layer: &Layer) -> Result<Usage> {
        layer_dir::measure(&fs(layer.id()))
    }

    fn layers(&self) -> Result<Vec<LayerId>> {
        layer_dir::layers()
    }
}

fn already_committed(id: LayerId) -> Error {
    Error::new(Code::FailedPrecondition, format!("layer {id} is committed already"))
}

#[cfg(test)]
mod tests;
