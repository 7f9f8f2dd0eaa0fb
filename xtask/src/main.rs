//! What a contributor and CI run: demo, test, bench.

fn main() {}
