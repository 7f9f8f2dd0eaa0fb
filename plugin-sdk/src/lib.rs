//! What a plugin author depends on: a trait for each kind of plugin, the powers as plain functions, and a fake host.
//!
//! A snapshotter implements [`Snapshotter`] and ends with [`export_snapshotter!`]. Built for `wasm32-wasip2` it is a
//! component that imports exactly the powers whose functions it calls; built for the author's own machine it is a
//! library, whose tests run against [`fake::Host`].
//!
//! ```
//! use wharf_plugin_sdk::{Features, Layer, LayerId, NoConfig, Plan, Result, Snapshotter, Usage};
//!
//! struct Nothing;
//!
//! impl Snapshotter for Nothing {
//!     type Config = NoConfig;
//!     fn new(_: NoConfig) -> Self {
//!         Self
//!     }
//!     fn probe(&self) -> Result<Features> {
//!         Err(wharf_plugin_sdk::Error::unsupported("this one is an example"))
//!     }
//! #   fn prepare(&self, _: &Layer, _: &Plan) -> Result<()> { unimplemented!() }
//! #   fn mounts(&self, _: &Layer, _: &Plan) -> Result<()> { unimplemented!() }
//! #   fn commit(&self, _: &Layer) -> Result<Usage> { unimplemented!() }
//! #   fn remove(&self, _: LayerId) -> Result<()> { unimplemented!() }
//! #   fn measure(&self, _: &Layer) -> Result<Usage> { unimplemented!() }
//! #   fn layers(&self) -> Result<Vec<LayerId>> { unimplemented!() }
//!     // prepare, mounts, commit, remove, measure, layers
//! }
//!
//! wharf_plugin_sdk::export_snapshotter!(Nothing);
//! ```
#![deny(unsafe_code)]

#[cfg(target_arch = "wasm32")]
mod adapter;
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, unused, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod bindings;
mod description;
mod error;
#[cfg(not(target_arch = "wasm32"))]
pub mod fake;
mod layer;
pub mod layer_dir;
pub mod log;
mod plan;
mod snapshotter;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use self::adapter::Adapter;
pub use self::{
    bindings::{
        exports::wharf::snapshotter::snapshotter::{Content, Features},
        wharf::{
            host::types::{Code, Error},
            snapshotter::storage::{IdRange, Kind, LayerId, Place, Usage},
        },
    },
    description::{Description, NoConfig, Problem},
    error::Result,
    layer::Layer,
    plan::{Lower, Plan, StepId},
    snapshotter::Snapshotter,
};

/// Makes a type that implements [`Snapshotter`] the one snapshotter of this component.
///
/// Once in a crate, whose type is `cdylib`. Not for `wasm32` it does nothing.
#[macro_export]
macro_rules! export_snapshotter {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, clippy::all, clippy::pedantic, clippy::restriction)]
        const _: () = {
            type Exported = $crate::Adapter<$plugin>;
    $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };
    };
}
