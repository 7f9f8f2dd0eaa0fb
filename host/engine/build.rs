//! Finds the exact version of wasmtime: compiled code is made again for each patch of it, because a patch may be one of
//! the code generator.

use std::{env, fs, path::Path};

fn main() {
    let lock = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rerun-if-changed=build.rs");
    match fs::read_to_string(&lock).ok().as_deref().and_then(wasmtime) {
        Some(version) => println!("cargo::rustc-env=WASMTIME_VERSION={version}"),
        None => println!("cargo::error=no version of wasmtime in {}", lock.display()),
    }
}

fn wasmtime(lock: &str) -> Option<&str> {
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"wasmtime\"");
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}
