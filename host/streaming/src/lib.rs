//! Streams of running containers over HTTP: exec, attach and port-forward, as the kubelet and crictl speak them.
//!
//! CRI answers a request for streams with a URL. Here is the server behind it: [`Server`] keeps what was asked under a
//! one-time token, upgrades the connection that comes with it to SPDY/3.1 or WebSocket, and hands a [`Handler`] plain
//! [`Streams`]. How bytes become frames is decided here, what runs behind them is not.
//!
//! A connection costs a task that reads it and one that serves it. Nothing is buffered beyond a few frames a stream: a
//! side that does not read makes the other wait. When the client goes away [`Streams::gone`] says so, also while it
//! is owed output or owes input.
#![forbid(unsafe_code)]

mod config;
mod connection;
mod exec;
mod handler;
mod port_forward;
mod protocol;
mod server;
mod size;
mod spdy;
mod status;
mod streams;
mod tls;
mod tokens;
mod upgrade;
mod websocket;
mod wire;

pub use self::{
    config::{StreamingConfig, TlsFiles},
    handler::{AttachRequest, ExecRequest, Handler, PortForwardRequest},
    server::{Listening, Server},
    size::TerminalSize,
    streams::{Input, Output, Streams},
};

/// For fuzzing alone.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use self::spdy::fuzz_headers;
