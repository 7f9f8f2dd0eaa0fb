use std::{
    io::{IoSliceMut, Read as _},
    mem::MaybeUninit,
    os::{fd::AsFd as _, unix::net::UnixListener},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::support::Bench;

/// What makes folders gets this action.
fn on_mkdir(action: &str) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": action }] })
}

#[test]
fn the_filter_holds_for_the_program_and_what_is_executed_beside_it() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["sh", "-c", "grep ^Seccomp: /proc/self/status; mkdir /new 2>&1; exec sleep 1000"]);
    spec["linux"]["seccomp"] = on_mkdir("SCMP_ACT_ERRNO");
    spec["linux"]["seccomp"]["syscalls"][0]["errnoRet"] = json!(18);
    for confined in [true, false] {
        spec["process"]["noNewPrivileges"] = json!(confined);
        bench.write(&spec);
        let id = bench.create("filter");
        bench.ok(&["start", &id]);
        let filtered = "Seccomp:\t2\nmkdir: can't create directory '/new': Invalid cross-device link\n";
        assert!(wharf_testkit::wait_for(crate::support::PATIENCE, || bench.wrote("filter", "out") == filtered));
        let said = bench.run(&["exec", &id, "sh", "-c", "grep ^Seccomp: /proc/self/status; mkdir /new 2>&1"]);
        assert_eq!((said.stdout.as_str(), said.code), (filtered, 1));
        bench.ok(&["delete", "--force", &id]);
    }
    assert!(!bench.rootfs().join("new").exists());
}

#[test]
fn an_agent_is_given_the_listener_and_the_state() {
    let bench = Bench::new();
    let socket = bench.path().join("agent");
    let agent = UnixListener::bind(&socket).unwrap();
    let mut spec = bench.spec(&["sh", "-c", "mkdir /new 2>&1"]);
    spec["linux"]["seccomp"] = on_mkdir("SCMP_ACT_NOTIFY");
    spec["linux"]["seccomp"]["listenerPath"] = json!(socket);
    spec["linux"]["seccomp"]["listenerMetadata"] = json!("about it");
    bench.write(&spec);
    let told = std::thread::spawn(move || {
        let (mut stream, _) = agent.accept().unwrap();
        let mut bytes = [0_u8; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut vectors = [IoSliceMut::new(&mut bytes)];
        let read = recvmsg(stream.as_fd(), &mut vectors, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap().bytes;
        let given = ancillary.drain().filter(|message| matches!(message, RecvAncillaryMessage::ScmRights(_))).count();
        let mut text = bytes[..read].to_vec();
        stream.read_to_end(&mut text).unwrap();
        // With its end the listener is closed: nobody answers, and the calls fail as if there were none.
        (given, serde_json::from_slice::<Value>(&text).unwrap())
    });
    let id = bench.create("agent");
    let pid = bench.state(&id)["pid"].clone();
    bench.ok(&["start", &id]);
    bench.wait_for_status(&id, "stopped");
    let (given, state) = told.join().unwrap();
    assert_eq!(given, 1);
    assert_eq!((&state["fds"], &state["metadata"]), (&json!(["seccompFd"]), &json!("about it")));
    assert_eq!((&state["state"]["id"], &state["state"]["pid"], &state["pid"]), (&json!(id), &pid, &pid));
    assert_eq!(bench.wrote("agent", "out"), "mkdir: can't create directory '/new': Function not implemented\n");
}
