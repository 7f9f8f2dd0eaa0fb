//! From layers somewhere else to committed snapshots here.
//!
//! Layers are written at the same time, each into a snapshot without a parent, and committed from the bottom up,
//! each onto the one below it. What a layer cannot know without those below is mended between the two: a directory
//! that it needs but does not describe gets its owner, mode and attributes from the nearest layer below. A layer
//! that cannot be written alone (a hard link to a file below it) is written again when those are there; that is
//! rare enough not to hold up all others. Where the snapshotter wants layers in order, they are unpacked in order and
//! fetched ahead.

mod archive_reader;
mod bytes;
mod commit;
mod extraction;
mod layer;
mod source;

pub(crate) use self::{
    extraction::extract,
    source::{Repository, Source},
};
