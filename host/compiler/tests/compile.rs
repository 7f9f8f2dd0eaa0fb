//! The program itself, as the daemon runs it.
// A helper of a test fails it as the test itself does; clippy knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
    thread,
};

/// The smallest component.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

fn compile(wasm: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharf-compile"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        // It may have enough before we have written all.
        scope.spawn(move || drop(stdin.write_all(wasm)));
        child.wait_with_output().unwrap()
    })
}

#[test]
fn a_component_becomes_native_code() {
    let out = compile(EMPTY);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.stdout[..4], *b"\x7fELF");
}

#[test]
fn what_is_no_component_is_refused_with_a_reason() {
    for (wasm, why) in [(&b"hello"[..], "magic"), (b"\0asm\x01\0\0\0", "component"), (b"", "")] {
        let out = compile(wasm);
        assert!(!out.status.success() && out.stdout.is_empty(), "{wasm:?} was compiled");
        let said = String::from_utf8_lossy(&out.stderr).to_lowercase();
        assert!(!said.is_empty() && said.contains(why), "{wasm:?}: {said}");
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_compiled() {
    let out = compile(&vec![0; (64 << 20) + 1]);
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("larger than 64 MiB"));
}
