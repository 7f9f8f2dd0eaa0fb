//! What the host does for a plugin, one module an interface.

mod config;
mod layer_dir;
mod log;
mod storage;

use wasmtime::component::Linker;

// Public for the generated code alone: this module is private.
pub use self::storage::{LayerHandle, PlanHandle};
pub(crate) use self::{layer_dir::LayerDir, storage::PlanBuilder};
use crate::{
    bindings::wharf::{
        host as shared,
        snapshotter::{layer_dir as layer_dir_interface, storage as storage_interface},
    },
    state::{HasState, State},
};

/// Interfaces that every plugin of a kind has, without their version.
pub(crate) const ALWAYS: [&str; 4] =
    ["wharf:host/types", "wharf:host/log", "wharf:host/config", "wharf:snapshotter/storage"];

/// A power that the operator grants or refuses.
pub(crate) struct Power {
    /// Without the version.
    pub(crate) interface: &'static str,
    pub(crate) link: fn(&mut Linker<State>) -> wasmtime::Result<()>,
}

/// Every power that this host has.
pub(crate) static POWERS: [Power; 1] = [Power {
    interface: "wharf:snapshotter/layer-dir",
    link: |linker| layer_dir_interface::add_to_linker::<State, HasState>(linker, |state| state),
}];

pub(crate) fn link_always(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    shared::types::add_to_linker::<State, HasState>(linker, |state| state)?;
    shared::log::add_to_linker::<State, HasState>(linker, |state| state)?;
    shared::config::add_to_linker::<State, HasState>(linker, |state| state)?;
    storage_interface::add_to_linker::<State, HasState>(linker, |state| state)
}
