use std::{fs, process::Command};

use crate::support::{Bench, RUNTIME};

/// A shell opens the descriptors, as callers do.
fn with_shell(bench: &Bench, script: &str) -> std::process::Output {
    Command::new("bash")
        .args(["-c", script])
        .env("OCI", format!("{RUNTIME} --root {}", bench.state_root().display()))
        .env("ID", bench.id("fds"))
        .current_dir(bench.bundle())
        .output()
        .unwrap()
}

#[test]
fn only_what_is_preserved_comes_in() {
    let bench = Bench::new();
    fs::write(bench.path().join("secret"), "from outside\n").unwrap();
    bench.write(&bench.spec(&["sh", "-c", "ls /proc/self/fd; cat <&3"]));
    let secret = bench.path().join("secret");
    let script = format!("exec 3<{0} 4<{0} 5<{0}; $OCI run --preserve-fds 1 $ID", secret.display());
    let output = with_shell(&bench, &script);
    let text = String::from_utf8(output.stdout).unwrap();
    // ls itself has one for the folder: the first that is free.
    assert_eq!(text, "0\n1\n2\n3\n4\nfrom outside\n", "{}", String::from_utf8_lossy(&output.stderr));
    let output = with_shell(&bench, "exec 3<&-; $OCI run --preserve-fds 1 $ID");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("descriptor 3 of 1 to preserve is not open"), "{error}");
}

#[test]
fn an_exec_preserves_them_too() {
    let bench = Bench::new();
    let id = bench.create("fds");
    bench.ok(&["start", &id]);
    fs::write(bench.path().join("secret"), "from outside\n").unwrap();
    let secret = bench.path().join("secret");
    let script =
        format!("exec 3<{0} 4<{0}; $OCI exec --preserve-fds 1 $ID sh -c 'ls /proc/self/fd; cat <&3'", secret.display());
    let output = with_shell(&bench, &script);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "0\n1\n2\n3\n4\nfrom outside\n", "{}", String::from_utf8_lossy(&output.stderr));
}
