use std::{
    fs,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixListener,
    },
    process::Command,
};

use crate::support::{Bench, RUNTIME, receive};

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

/// Whose pidfd it is.
fn pid_of(pidfd: &OwnedFd) -> i64 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
    info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().parse().unwrap()
}

#[test]
fn pidfds_are_sent_to_their_socket() {
    let bench = Bench::new();
    let socket = bench.path().join("pidfd");
    let listener = UnixListener::bind(&socket).unwrap();
    let (id, socket) = (bench.id("pidfd"), socket.to_str().unwrap());
    assert_eq!(bench.with_files(&["create", "--pidfd-socket", socket, &id], "pidfd").code, 0);
    let sent = pid_of(&receive(&listener, b"pidfd"));
    assert_eq!(sent, bench.state(&id)["pid"].as_i64().unwrap());
    bench.ok(&["start", &id]);
    let file = bench.path().join("pid");
    let args = ["exec", "-d", "--pidfd-socket", socket, "--pid-file", file.to_str().unwrap(), &id, "sleep", "1000"];
    assert_eq!(bench.with_files(&args, "exec").code, 0);
    let sent = pid_of(&receive(&listener, b"pidfd"));
    assert_eq!(sent, fs::read_to_string(&file).unwrap().parse::<i64>().unwrap());
    drop(listener);
    let error = bench.with_files(&["create", "--pidfd-socket", socket, &bench.id("nobody")], "nobody").failed(1);
    assert!(error.contains("pidfd socket"), "{error}");
    let detached = bench.with_files(&["run", "-d", "--pidfd-socket", socket, &bench.id("nobody")], "nobody");
    assert!(detached.failed(1).contains("pidfd socket"));
}
