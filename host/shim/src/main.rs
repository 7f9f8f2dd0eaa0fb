//! The pod supervisor, containerd-shim-wharf-v1.

fn main() {}
