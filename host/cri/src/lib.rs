//! The CRI services, one RPC a file.
//!
//! A thin layer: it checks what a client asks, turns it into the words of `wharf_pods` and `wharf_images`, and
//! their answers into CRI's messages. What it does decide is the OCI specification of a container (`spec`).
//! Every RPC runs under a request id of its own (`serve`); what is not served yet answers `Unimplemented` by name.
#![forbid(unsafe_code)]

mod apparmor;
mod config;
mod deadline;
mod filter;
mod image;
mod info;
mod parts;
mod runtime;
mod serve;
mod signal;
mod spec;
mod status;

pub use self::{
    config::{CriConfig, PassedAnnotations},
    image::{auth_of, image_service},
    runtime::runtime_service,
    status::to_status,
};

/// The longest message that is taken, and the longest that is sent: two streams of an exec, and a little.
const LONGEST_REQUEST: usize = 16 << 20;
const LONGEST_ANSWER: usize = 33 << 20;
