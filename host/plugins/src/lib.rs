//! Loads and calls plugins: grants, limits, powers, the compiled cache.

mod config;
mod features;
mod info;
mod kind;
mod layer;
mod plan;
mod stats;

pub use self::{
    config::{Grants, Limits, PluginSource, PluginsConfig, Wasm},
    features::{Content, Features},
    info::{Answer, Ask, Origin, PluginInfo, PluginState},
    kind::Kind,
    layer::{IdRange, LayerFacts, LayerKind, Usage},
    plan::{Lower, Place, Plan, Step, Upper},
    stats::{Call, CallStat},
};
