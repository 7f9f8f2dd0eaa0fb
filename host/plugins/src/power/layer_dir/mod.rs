//! The power `layer-dir`: the plugin's own folder.
//!
//! Every path is resolved beneath the folder's descriptor by `openat2`, component by component and following no link;
//! what a component names is looked at (`O_PATH`) before it is opened, because images put devices and pipes there.

mod access;
mod copy;
mod measure;
mod place;
mod remove;
mod trash;
mod walk;

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::Path};

use cap_std::{ambient_authority, fs::Dir};
use wharf_error::{Result, ResultExt as _};

use self::trash::Trash;
use crate::{
    Place, Usage,
    bindings::wharf::{
        host::types::Code,
        snapshotter::{
            layer_dir::{Access, Host},
            storage,
        },
    },
    contract::{Fault, fault},
    state::State,
};

/// The folder of one plugin.
pub(crate) struct LayerDir {
    root: Dir,
    trash: Trash,
}

// === impl LayerDir ===

impl LayerDir {
    /// Makes the folder if it is not there, and deletes what earlier removals left in it.
    pub(crate) fn open(root: &Path, plugin: &str) -> Result<Self> {
        let step = || format!("open the folder {}", root.display());
        DirBuilder::new().recursive(true).mode(0o700).create(root).step(step)?;
        let dir = Dir::open_ambient_dir(root, ambient_authority()).step(step)?;
        let trash = Trash::open(&dir, plugin).step(step)?;
        Ok(Self { root: dir, trash })
    }

    /// Every layer that has a directory, in ascending order.
    fn layers(&self) -> std::io::Result<Vec<u64>> {
        let mut layers = Vec::new();
        for entry in self.root.entries()? {
            let entry = entry?;
            let name = entry.file_name();
            let layer = name.to_str().and_then(|name| name.parse::<u64>().ok().filter(|id| id.to_string() == name));
            if let Some(layer) = layer.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                layers.push(layer);
            }
        }
        layers.sort_unstable();
        Ok(layers)
    }
}

impl Host for State {
    fn make(&mut self, at: storage::Place, access: Access) -> Result<(), Fault> {
        let (dir, at) = here(self, at)?;
        dir.make(&at, access)
    }

    fn get_access(&mut self, at: storage::Place) -> Result<Access, Fault> {
        let (dir, at) = here(self, at)?;
        dir.get_access(&at)
    }

    fn set_access(&mut self, at: storage::Place, access: Access) -> Result<(), Fault> {
        let (dir, at) = here(self, at)?;
        dir.set_access(&at, access)
    }

    fn get_xattr(&mut self, at: storage::Place, name: String) -> Result<Option<Vec<u8>>, Fault> {
        let (dir, at) = here(self, at)?;
        dir.get_xattr(&at, &name)
    }

    fn set_xattr(&mut self, at: storage::Place, name: String, value: Vec<u8>) -> Result<(), Fault> {
        let (dir, at) = here(self, at)?;
        dir.set_xattr(&at, &name, &value)
    }

    fn rename(&mut self, source: storage::Place, target: storage::Place) -> Result<(), Fault> {
        let (dir, source) = here(self, source)?;
        let (_, target) = here(self, target)?;
        dir.rename(&source, &target)
    }

    fn copy_tree(&mut self, source: storage::Place, target: storage::Place) -> Result<storage::Usage, Fault> {
        let (dir, source) = here(self, source)?;
        let (_, target) = here(self, target)?;
        dir.copy_tree(&source, &target, &self.until).map(Usage::into)
    }

    fn remove(&mut self, at: storage::Place) -> Result<(), Fault> {
        let (dir, at) = here(self, at)?;
        dir.remove(&at)
    }

    fn measure(&mut self, at: storage::Place) -> Result<storage::Usage, Fault> {
        let (dir, at) = here(self, at)?;
        dir.measure(&at, &self.until).map(Usage::into)
    }

    fn layers(&mut self) -> Result<Vec<u64>, Fault> {
        folder(self)?.layers().map_err(|error| io_fault("list the layers", &error))
    }
}

fn folder(state: &State) -> Result<&LayerDir, Fault> {
    state.until.check()?;
    state.layer_dir.as_deref().ok_or_else(|| fault(Code::NotGranted, "layer-dir is not granted"))
}

fn here(state: &State, at: storage::Place) -> Result<(&LayerDir, Place), Fault> {
    let dir = folder(state)?;
    let at = Place::new(at.layer, at.path).map_err(|error| fault(Code::InvalidArgument, error.to_string()))?;
    Ok((dir, at))
}

/// What a failing system call means to a plugin.
fn io_fault(step: &str, error: &std::io::Error) -> Fault {
    use rustix::io::Errno;
    let code = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => Code::NotFound,
        Some(Errno::EXIST | Errno::NOTEMPTY) => Code::AlreadyExists,
        Some(Errno::NOSPC | Errno::DQUOT | Errno::MLINK | Errno::NFILE | Errno::MFILE) => Code::Exhausted,
        Some(Errno::ROFS) => Code::FailedPrecondition,
        // openat2 answers these where a path leaves the folder or has a link in it.
        Some(Errno::LOOP | Errno::XDEV | Errno::NOTDIR | Errno::ISDIR | Errno::NAMETOOLONG | Errno::INVAL) => {
            Code::InvalidArgument
        }
        Some(Errno::OPNOTSUPP) => Code::Unsupported,
        _ => Code::Other,
    };
    fault(code, format!("{step}: {error}"))
}

#[cfg(test)]
mod tests;
