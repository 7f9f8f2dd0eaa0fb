//! The CRI services, one RPC a file.
#![forbid(unsafe_code)]
#![allow(dead_code)]
mod spec;
