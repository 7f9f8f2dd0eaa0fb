//! The registry client: turns a reference into verified bytes.
//!
//! Every call reads the registry's `hosts.toml`, walks its hosts in order, authorises where it is asked to, and
//! answers only what the digest allows: a manifest whose digest matches, a blob that is never longer than its
//! descriptor says. Where all hosts fail, the error lists each one that was tried and why.
//!
//! What a registry sends is untrusted: sizes are bounded, nothing it names is followed with credentials.
#![forbid(unsafe_code)]

mod ask;
mod auth;
mod blob;
mod clear_hosts;
mod client;
mod config;
mod digest;
mod document;
mod fallback;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod proxies;
mod reference;
mod transport;

pub use self::{
    auth::{Auth, DockerConfig},
    blob::{BlobPart, BlobStream},
    client::{Client, Resolved},
    config::ClientConfig,
    digest::{ALGORITHMS, check_algorithm, digest_of, path_of, verify},
    document::{Document, MAX_DOCUMENT, media_types},
    proxies::Proxies,
    reference::Reference,
};
