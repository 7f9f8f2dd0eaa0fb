//! Every number of SPECIFICATION.md, ours and a peer's in one run.

fn main() {}
