//! CRI v1, generated from our own interface description.
//!
//! `proto/runtime/v1/api.proto` is the level of Kubernetes 1.36 with what 1.37 adds; [`cri`] is what `tonic` and
//! `prost` make of it: messages, clients and servers. Maps are ordered, so that equal messages are equal bytes.
//! The configurations of pods and containers can be serialized, for the JSON of an inspection.
#![forbid(unsafe_code)]

mod redact;
mod text;

/// The package `runtime.v1`: messages, `runtime_service_client`, `runtime_service_server`,
/// `image_service_client`, `image_service_server`.
#[allow(clippy::all, clippy::disallowed_types, clippy::unwrap_used, missing_docs, reason = "generated")]
pub mod cri {
    tonic::include_proto!("runtime.v1");
}
