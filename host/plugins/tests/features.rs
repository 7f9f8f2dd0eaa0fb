//! The daemon has no code generator: what it is linked from must not either.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

fn tree(package: &str) -> String {
    let args = ["tree", "--offline", "--edges", "normal,no-proc-macro", "--prefix", "none", "--package", package];
    let out = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(std::env::var("CARGO_MANIFEST_DIR").unwrap())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn only_the_compiler_has_cranelift() {
    let has = |package: &str| tree(package).lines().any(|line| line.starts_with("cranelift-codegen "));
    assert!(!has("wharf-plugins"));
    assert!(has("wharf-compiler"), "the test would see it");
}
