//! What the wharf command line asks the daemon for beside CRI: plugins and their calls, a pull with its
//! progress, the import of an image, images of other containerd namespaces than CRI's, snapshots, and what the node
//! has.
//!
//! A service of our own on the daemon's socket. Both ends are one binary, so it is no stable interface.
#![forbid(unsafe_code)]

mod images;
mod import_image;
mod info;
mod plugins;
mod pull_image;
mod service;
mod snapshots;

/// The generated messages, client and server.
#[allow(missing_docs, rust_2018_idioms, clippy::all, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub mod proto {
    tonic::include_proto!("wharf.admin.v1");
}

pub use self::{
    info::NodeInfo,
    service::{Parts, service},
};
