//! Loads and calls plugins: grants, limits, powers, the compiled cache.
//!
//! A plugin is a WebAssembly component. It decides; it never holds anything that a container depends on. Each call gets
//! an instance of its own, linked with the powers that the operator granted and no other, bounded in time, memory and
//! log, and thrown away with whatever state it was left in. What it answers is input: it is checked as it is given.
//!
//! `unsafe` of ours is in one file, `native.rs`; `bindings.rs` is generated.
#![deny(unsafe_code)]

mod bindings;
mod book;
mod compile;
mod compiled;
mod component;
mod config;
mod contract;
mod digest;
mod engines;
mod features;
mod imports;
mod info;
mod inspect;
mod instance;
mod json;
mod kind;
mod layer;
mod limiter;
mod load;
mod native;
mod one_at_a_time;
mod plan;
mod plugins;
mod power;
mod snapshotter;
mod state;
mod stats;
mod ticker;
mod turns;
mod voice;
mod wasi;

pub use self::{
    config::{Grants, Limits, PluginSource, PluginsConfig, Wasm},
    features::{Content, Features},
    info::{Answer, Ask, Origin, PluginInfo, PluginState},
    inspect::{ConfigProblem, Inspection, check_config, inspect},
    kind::Kind,
    layer::{IdRange, LayerFacts, LayerKind, Usage},
    plan::{Lower, Place, Plan, Step, Upper},
    plugins::Plugins,
    snapshotter::Snapshotter,
    stats::{Call, CallStat},
};
