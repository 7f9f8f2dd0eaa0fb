//! Real containers, made by the library alone, from the distribution's busybox.
//!
//! Needs root. Nothing is mounted on the host: each container's mounts are its own.

mod credentials;
mod execs;
mod hostile;
mod life;
mod mounts;
mod namespaces;
mod support;
mod terminals;
