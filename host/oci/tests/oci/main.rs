//! The command line with real containers, from the distribution's busybox. Needs root.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may end at once")]

mod containerd;
mod descriptors;
mod events;
mod execs;
mod hooks;
mod life;
mod output;
mod refusals;
mod seccomp;
mod support;
mod terminals;
