//! Daemon and command line in one.

fn main() {}
