//! Compiles one component, unprivileged and confined: wharf-compile.

fn main() {}
