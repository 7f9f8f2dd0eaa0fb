//! Images on the node: from a reference to a chain of committed snapshots, and the book of what is there.
//!
//! Work is a spawned operation that callers join and leave ([`Images::pull`]). Each byte of a layer is taken once:
//! from the registry through verifying and inflating straight into its snapshot's directory; layers are written at
//! the same time and committed in order. What an image needs beside its layers, a few JSON documents, is kept in
//! [content](ImagesConfig::content_dir); layer blobs are not.
#![forbid(unsafe_code)]

mod book;
mod chain;
mod collect;
mod config;
mod content;
mod core;
mod extract;
mod flights;
mod fs_info;
mod image;
mod images;
mod import;
mod leases;
mod platform;
mod progress;
mod pull;
mod record;
mod remove;
mod scratch;
mod selected;
mod spool;
mod sweep;
mod untag;

pub use self::{
    config::ImagesConfig,
    fs_info::FsInfo,
    image::Image,
    images::Images,
    progress::{LayerProgress, LayerState, Progress},
};
