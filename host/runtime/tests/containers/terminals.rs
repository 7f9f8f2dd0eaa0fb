use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
};

use oci_spec::runtime::Process as ProcessSpec;
use serde_json::json;
use wharf_runtime::{ExecRequest, ProcessStdio, TerminalSize};

use crate::support::{Sandbox, process, reap};

const SIZE: TerminalSize = TerminalSize { rows: 33, columns: 99 };

fn stdio() -> ProcessStdio {
    ProcessStdio::Terminal { size: Some(SIZE) }
}

/// Everything that is written until the other end is closed.
pub fn read_all(master: OwnedFd) -> String {
    let mut master = File::from(master);
    let mut bytes = Vec::new();
    let mut part = [0; 1024];
    // A closed terminal is an error to read.
    while let Ok(length @ 1..) = master.read(&mut part) {
        bytes.extend_from_slice(&part[..length]);
    }
    String::from_utf8_lossy(&bytes).replace('\r', "")
}

#[test]
fn a_terminal_is_the_container_s_own() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&[
        "sh",
        "-c",
        "tty; stty size; stat -c '%t,%T %u' /dev/console /dev/pts/0; \
        echo hello > /dev/tty; ls -1 /dev/pts",
    ]);
    spec["process"]["terminal"] = json!(true);
    spec["process"]["user"] = json!({ "uid": 1001, "gid": 1001 });
    let mut container = sandbox.create(&spec, stdio()).unwrap();
    let master = container.take_terminal().unwrap();
    assert!(container.take_terminal().is_none());
    container.start().unwrap();
    let output = read_all(master);
    assert_eq!(reap(container.pidfd()), 0, "{output}");
    assert_eq!(output, "/dev/pts/0\n33 99\n88,0 1001\n88,0 1001\nhello\n0\nptmx\n");
}

#[test]
fn what_is_typed_arrives_and_control_c_is_a_signal() {
    let sandbox = Sandbox::new();
    let script = "trap 'echo interrupted; exit 3' INT; read line; echo got $line; while :; do sleep 0.05; done";
    let mut spec = sandbox.spec(&["sh", "-c", script]);
    spec["process"]["terminal"] = json!(true);
    let mut container = sandbox.create(&spec, stdio()).unwrap();
    let master = container.take_terminal().unwrap();
    container.start().unwrap();
    let mut writer = File::from(master.try_clone().unwrap());
    writer.write_all(b"typed\n").unwrap();
    let mut reader = File::from(master.try_clone().unwrap());
    let mut text = String::new();
    let mut part = [0; 256];
    while !text.contains("got typed") {
        let length = reader.read(&mut part).unwrap();
        text += &String::from_utf8_lossy(&part[..length]);
    }
    writer.write_all(b"\x03").unwrap();
    let rest = read_all(master);
    assert!(rest.contains("interrupted"), "{rest}");
    assert_eq!(reap(container.pidfd()), 3);
}

#[test]
fn an_exec_has_a_terminal_of_the_container_s_too() {
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper();
    let mut json = process(&["sh", "-c", "tty; stty size; echo hello > /dev/tty"]);
    json["terminal"] = json!(true);
    let spec: ProcessSpec = serde_json::from_value(json).unwrap();
    let request = ExecRequest { process: &spec, stdio: stdio(), cgroup: None };
    let mut process = sleeper.container.exec(request).unwrap();
    let output = read_all(process.take_terminal().unwrap());
    assert_eq!(output, "/dev/pts/0\n33 99\nhello\n");
    assert_eq!(reap(process.pidfd()), 0);
}

#[test]
fn a_dev_pts_that_is_none_gives_no_terminal() {
    // CVE-2025-52565: what a container or image puts at the terminal's place.
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    spec["process"]["terminal"] = json!(true);
    spec["mounts"].as_array_mut().unwrap().remove(2);
    std::fs::create_dir_all(sandbox.lower("fake")).unwrap();
    std::fs::write(sandbox.lower("fake/ptmx"), "").unwrap();
    let fake =
        json!({ "destination": "/dev/pts", "type": "bind", "source": sandbox.lower("fake"), "options": ["bind"] });
    spec["mounts"].as_array_mut().unwrap().push(fake);
    let error = sandbox.create(&spec, stdio()).map(drop).unwrap_err().to_string();
    assert!(error.contains("/dev/pts is no devpts"), "{error}");
}
