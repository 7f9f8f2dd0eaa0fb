//! `wharf-compile`: a component on standard input, its native code on standard output, errors on standard error.
//!
//! The code generator is the largest thing that hostile WebAssembly can aim at, so it runs here: a child of the daemon
//! that gives up every right before it reads the first byte, and cannot open a file, a socket or a program.
#![forbid(unsafe_code)]

mod confine;

use std::{
    io::{Read as _, Write as _, stdin, stdout},
    process::ExitCode,
};

/// The largest component: Python plugins have 20 MB.
const LARGEST: u64 = 64 << 20;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    confine::confine()?;
    let mut wasm = Vec::new();
    stdin().lock().take(LARGEST + 1).read_to_end(&mut wasm).map_err(|error| format!("read the component: {error}"))?;
    if wasm.len() as u64 > LARGEST {
        return Err(format!("the component is larger than {} MiB", LARGEST >> 20));
    }
    let native = compile(&wasm).map_err(|error| format!("{error:#}"))?;
    stdout().lock().write_all(&native).map_err(|error| format!("write the native code: {error}"))
}

fn compile(wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
    wasmtime::Engine::new(&wharf_engine::config()?)?.precompile_component(wasm)
}
