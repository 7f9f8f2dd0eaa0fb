//! gRPC on Unix sockets, for clients of every language.
//!
//! gRPC's C core, and with it Python and others, names a Unix socket's path as the `:authority` of a request
//! (`tmp%2Fwharf.sock`), which HTTP does not allow, and `h2`, which serves us, answers such a request with a protocol error.
//! [`incoming()`] reads the first request of each connection: where its authority is a good one, as Go's clients send, the
//! connection is left alone from there on; else every request of it has `localhost` in that place.
#![forbid(unsafe_code)]

mod connection;
mod filter;
mod frame;
mod headers;
mod incoming;

pub use self::{connection::Connection, incoming::incoming};
