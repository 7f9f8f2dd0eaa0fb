//! Names, parents and life of snapshots, decided by a snapshotter plugin.
//!
//! The host keeps the only book: a row for each snapshot, with its parent, labels, usage and state. A plugin gets
//! numbers and answers with plans, which are checked here and turned into mounts. Every change is an intent row,
//! a call of the plugin, a final row, so that a daemon killed in between finds out and finishes or undoes it.
#![forbid(unsafe_code)]

mod backend;
mod book;
mod commit;
mod core;
mod flush;
mod gc;
mod info;
mod labels;
mod locks;
mod measured;
mod mounts;
mod owner;
mod plan;
mod plugin;
mod prepare;
mod probe;
mod reconcile;
mod remove;
mod row;
mod snapshots;
mod sweep;

#[cfg(test)]
mod tests;

pub use self::{
    backend::Backend,
    gc::Collected,
    info::{ContentTarget, Info, Mount, Mounts, Problem},
    measured::Measured,
    row::Kind,
    snapshots::Snapshots,
    sweep::Swept,
};
