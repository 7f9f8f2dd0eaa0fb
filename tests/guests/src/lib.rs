//! Components for tests alone.
#![forbid(unsafe_code)]

/// A snapshotter that does as its configuration says, in each function: spins, eats memory, traps, lies.
pub const HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));
