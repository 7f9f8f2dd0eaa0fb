use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
};

use serde_json::json;

use crate::support::{Bench, receive};

/// Until its other end is closed, which reads as an error.
fn read(terminal: &mut File) -> String {
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = terminal.read(&mut bytes) {
        all.extend_from_slice(&bytes[..length]);
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn the_master_is_sent_to_the_console_socket() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["sh", "-c", "tty; stty size; read line; echo got $line"]);
    spec["process"]["terminal"] = json!(true);
    spec["process"]["consoleSize"] = json!({ "height": 33, "width": 99 });
    bench.write(&spec);
    let socket = bench.path().join("console");
    let listener = UnixListener::bind(&socket).unwrap();
    let id = bench.id("tty");
    assert_eq!(bench.with_files(&["create", "--console-socket", socket.to_str().unwrap(), &id], "tty").code, 0);
    let mut terminal = File::from(receive(&listener, b"/dev/ptmx"));
    bench.ok(&["start", &id]);
    terminal.write_all(b"hello\n").unwrap();
    let text = read(&mut terminal);
    assert!(text.contains("/dev/pts/0") && text.contains("33 99") && text.contains("got hello"), "{text}");
    bench.wait_for_status(&id, "stopped");
    bench.ok(&["delete", &id]);
}

#[test]
fn an_exec_has_a_terminal_of_its_own() {
    let bench = Bench::new();
    let id = bench.create("c");
    bench.ok(&["start", &id]);
    let socket = bench.path().join("console");
    let listener = UnixListener::bind(&socket).unwrap();
    let args = ["exec", "-d", "-t", "--console-socket", socket.to_str().unwrap(), &id, "sh", "-c", "tty; echo done"];
    assert_eq!(bench.with_files(&args, "tty").code, 0);
    let text = read(&mut File::from(receive(&listener, b"/dev/ptmx")));
    assert!(text.contains("/dev/pts/0") && text.contains("done"), "{text}");
    let error = bench.run(&["exec", "-d", "-t", &id, "true"]).failed(255);
    assert!(error.contains("without setting console socket"), "{error}");
}

#[test]
fn run_relays_a_terminal() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["sh", "-c", "tty; echo on a terminal; exit 4"]);
    spec["process"]["terminal"] = json!(true);
    bench.write(&spec);
    let said = bench.run(&["run", &bench.id("tty")]);
    assert_eq!(said.code, 4, "{said:?}");
    assert_eq!(said.stdout, "/dev/pts/0\r\non a terminal\r\n");
}
