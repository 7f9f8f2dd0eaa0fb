//! Real containers, made by the library alone, from the distribution's busybox.
//!
//! Needs root. Nothing is mounted on the host: each container's mounts are its own.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may end at once")]

mod credentials;
mod devices;
mod execs;
mod hooks;
mod hostile;
mod labels;
mod life;
mod mounts;
mod namespaces;
mod net_devices;
mod scheduling;
mod seccomp;
mod support;
mod terminals;
mod users;
