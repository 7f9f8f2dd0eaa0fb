//! The built daemon judged from outside: one subject a file, one test for each thing that is promised.
//! One program, so that all tests share one registry.
#![forbid(unsafe_code)]
// The helpers of a test fail it as the test itself does; clippy knows only functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apparmor;
mod authority;
mod bad_input;
mod command_line;
mod configuration;
mod containerd;
mod devices;
mod events;
mod exits;
mod files;
mod hostile;
mod image_volumes;
mod images;
mod limits;
mod lists;
mod logs;
mod metrics;
mod namespaces;
mod networks;
mod plugins;
mod pod_limits;
mod port_forward;
mod pulls;
mod restart;
mod retries;
mod runtime_handlers;
mod seccomp;
mod stats;
mod streaming;
mod stuck;
mod systemd;
mod terminal;
mod tls;
mod under_containerd;
mod user_namespaces;
mod users;
mod walk_through;
mod websocket_dialects;
