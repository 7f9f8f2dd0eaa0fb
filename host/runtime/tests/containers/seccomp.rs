use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    thread::JoinHandle,
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::support::{Sandbox, pipes, process, push};

/// Everything but these calls, which get this action.
fn all_but(names: &[&str], action: &str) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": names, "action": action }] })
}

fn spec(sandbox: &Sandbox, script: &str, profile: Value) -> Value {
    let mut spec = sandbox.spec(&["sh", "-c", script]);
    spec["linux"]["seccomp"] = profile;
    spec
}

/// Both ways to load it: allowed by no_new_privs, and by a capability that the program then does not have.
fn both(mut spec: Value, check: impl Fn(&Value)) {
    for confined in [true, false] {
        spec["process"]["noNewPrivileges"] = json!(confined);
        check(&spec);
    }
}

#[test]
fn a_filter_is_loaded_and_its_capability_is_given_back() {
    let sandbox = Sandbox::new();
    let script = "grep -E '^Seccomp:|^CapEff|^CapPrm|^SigBlk' /proc/self/status; mkdir /new 2>&1";
    let usual = "SigBlk:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n\
        mkdir: can't create directory '/new': Operation not permitted\n";
    both(spec(&sandbox, script, all_but(&["mkdir", "mkdirat"], "SCMP_ACT_ERRNO")), |spec| {
        let output = sandbox.run(spec);
        assert_eq!(output.stdout, usual, "{output:?}");
        let mut user = spec.clone();
        user["process"]["user"] = json!({ "uid": 1001, "gid": 1001 });
        let output = sandbox.run(&user);
        assert!(output.stdout.contains("CapPrm:\t0000000000000000\nCapEff:\t0000000000000000"), "{output:?}");
        assert!(output.stdout.contains("Seccomp:\t2"), "{output:?}");
    });
}

#[test]
fn ambient_capabilities_survive_the_filter() {
    let sandbox = Sandbox::new();
    let script = "grep -E '^CapAmb|^CapEff' /proc/self/status";
    let mut spec = spec(&sandbox, script, all_but(&["mkdir"], "SCMP_ACT_ERRNO"));
    let bind = ["CAP_NET_BIND_SERVICE"];
    spec["process"]["user"] = json!({ "uid": 1001, "gid": 1001 });
    spec["process"]["capabilities"] =
        json!({ "bounding": bind, "effective": bind, "permitted": bind, "inheritable": bind, "ambient": bind });
    both(spec, |spec| {
        assert_eq!(sandbox.run(spec).ok(), "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400");
    });
}

#[test]
fn actions_and_error_numbers_are_the_profile_s() {
    let sandbox = Sandbox::new();
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EXDEV },
        { "names": ["chroot"], "action": "SCMP_ACT_KILL_PROCESS" },
        { "names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 1, "value": 15, "op": "SCMP_CMP_EQ" }] },
    ] });
    let script = "mkdir /x 2>&1; kill -15 $$ 2>&1; kill -0 $$ && echo zero; chroot / true; echo $?";
    both(spec(&sandbox, script, profile), |spec| {
        let output = sandbox.run(spec);
        assert!(
            output.stdout.contains("'/x': Invalid cross-device link")
                || output.stdout.contains("'/x': Cross-device link"),
            "{output:?}"
        );
        assert!(output.stdout.contains("Operation not permitted\nzero\n159\n"), "128 and SIGSYS: {output:?}");
    });
}

#[test]
fn a_profile_needs_to_allow_nothing_of_ours() {
    // What the program itself does (true of busybox, static or with its libraries), and the exec; anything more would end it.
    let sandbox = Sandbox::new();
    let own = [
        "execve",
        "brk",
        "mmap",
        "munmap",
        "mprotect",
        "access",
        "openat",
        "read",
        "close",
        "fstat",
        "newfstatat",
        "pread64",
        "arch_prctl",
        "set_tid_address",
        "set_robust_list",
        "rseq",
        "prlimit64",
        "getrandom",
        "exit_group",
        "getuid",
        "setuid",
        "setgid",
        "getgid",
        "prctl",
        "lseek",
        "readlink",
    ];
    let mut spec = sandbox.spec(&["true"]);
    spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
        { "names": own, "action": "SCMP_ACT_ALLOW" },
    ] });
    assert_eq!(sandbox.run(&spec).code, 0);
    push(&mut spec["linux"]["seccomp"]["syscalls"][0]["names"], json!("capset"));
    spec["process"]["noNewPrivileges"] = json!(false);
    assert_eq!(sandbox.run(&spec).code, 0, "capset gives back the capability");
}

#[test]
fn a_profile_that_lets_nothing_pass_ends_the_process_and_nobody_waits() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
    let (stdio, pipes) = pipes();
    let container = sandbox.create(&spec, stdio).unwrap();
    // Nothing of it can be told: not that exec failed, and not by an exit code.
    container.start().unwrap();
    assert_eq!(pipes.wait(container.pidfd()).code, 128 + libc::SIGILL);
}

#[test]
fn a_program_that_is_not_there_is_told_as_ever() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["nope"]);
    spec["linux"]["seccomp"] = all_but(&["mkdir"], "SCMP_ACT_ERRNO");
    let (error, code) = sandbox.start_error(&spec);
    assert_eq!((error.as_str(), code), (r#"container test: exec: "nope": executable file not found in $PATH"#, 127));
}

#[test]
fn further_processes_are_filtered_too() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sleep", "1000"]);
    spec["linux"]["seccomp"] = all_but(&["mkdir", "mkdirat"], "SCMP_ACT_ERRNO");
    let sleeper = sandbox.sleeper_of(&spec);
    let mut further = process(&["sh", "-c", "grep -E '^Seccomp:|^CapEff' /proc/self/status; mkdir /new"]);
    for confined in [true, false] {
        further["noNewPrivileges"] = json!(confined);
        let output = sleeper.exec(&further);
        assert_eq!(output.stdout, "CapEff:\t00000000a80425fb\nSeccomp:\t2\n", "{output:?}");
        assert_ne!(output.code, 0);
    }
}

#[test]
fn flags_are_the_profile_s() {
    let sandbox = Sandbox::new();
    let script = "grep Speculation_Store_Bypass: /proc/self/status || true; true";
    for flags in [json!(["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"]), json!([])] {
        let mut profile = all_but(&["mkdir"], "SCMP_ACT_LOG");
        profile["flags"] = flags;
        assert_eq!(sandbox.run(&spec(&sandbox, script, profile)).code, 0);
    }
}

#[test]
fn what_is_wrong_with_a_profile_is_told_before_anything_is_made() {
    let sandbox = Sandbox::new();
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" },
    ] });
    let error = sandbox.refusal(&spec(&sandbox, "true", profile)).to_string();
    assert_eq!(error, "container test: linux.seccomp: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath");
}

/// One that answers each system call it is asked about with EXDEV. Returns the state it was told with the listener.
struct Agent(JoinHandle<Vec<Value>>);

impl Agent {
    fn new(path: &Path, processes: usize) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        Self(std::thread::spawn(move || {
            (0..processes)
                .map(|_| {
                    let (stream, _) = listener.accept().unwrap();
                    let (state, fd) = receive(&stream);
                    std::thread::spawn(move || answer(&fd));
                    state
                })
                .collect()
        }))
    }
}

fn receive(stream: &UnixStream) -> (Value, OwnedFd) {
    let (mut json, mut fd) = (Vec::new(), None);
    loop {
        let mut bytes = [0_u8; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut vectors = [IoSliceMut::new(&mut bytes)];
        let read = recvmsg(stream.as_fd(), &mut vectors, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap().bytes;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = message {
                fd = fds.next();
            }
        }
        if read == 0 {
            return (serde_json::from_slice(&json).unwrap(), fd.unwrap());
        }
        json.extend_from_slice(&bytes[..read]);
    }
}

/// Until every process with the filter has ended.
fn answer(listener: &OwnedFd) {
    const RECEIVE: libc::c_ulong = 0xc050_2100;
    const SEND: libc::c_ulong = 0xc018_2101;
    loop {
        // SAFETY: structs of numbers; the kernel wants the first one zeroed.
        let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the struct is the one that this request writes.
        if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut asked) } != 0 {
            return;
        }
        let answer = libc::seccomp_notif_resp { id: asked.id, val: 0, error: -libc::EXDEV, flags: 0 };
        // SAFETY: the struct is the one that this request reads.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const answer) };
    }
}

#[test]
fn an_agent_answers_for_the_container_and_its_execs() {
    let sandbox = Sandbox::new();
    let socket = sandbox.path().join("agent");
    let agent = Agent::new(&socket, 2);
    let mut profile = all_but(&["mkdir", "mkdirat"], "SCMP_ACT_NOTIFY");
    profile["listenerPath"] = json!(socket);
    profile["listenerMetadata"] = json!("about it");
    let mut spec = spec(&sandbox, "mkdir /new 2>/said; exec sleep 1000", profile);
    spec["annotations"] = json!({ "a": "b" });
    let sleeper = sandbox.sleeper_of(&spec);
    let further = sleeper.sh("mkdir /new 2>&1; until grep -q link /said; do sleep 0.05; done; cat /said");
    assert_eq!(further.stdout.matches("ross-device link").count(), 2, "{further:?}");

    let states = agent.0.join().unwrap();
    let pid = sleeper.container.pid();
    for (state, status) in states.iter().zip(["created", "running"]) {
        assert_eq!(state["ociVersion"], "1.2.0");
        assert_eq!(state["fds"], json!(["seccompFd"]));
        assert_eq!(state["metadata"], "about it");
        let bundle = sandbox.path().join("bundle");
        let of = json!({ "ociVersion": "1.2.0", "id": "test", "status": status, "pid": pid, "bundle": bundle,
            "annotations": { "a": "b" } });
        assert_eq!(state["state"], of);
    }
    assert_eq!(states[0]["pid"], pid);
    assert_ne!(states[1]["pid"], pid);
}

#[test]
fn without_an_agent_nothing_runs() {
    let sandbox = Sandbox::new();
    let socket = sandbox.path().join("nobody");
    let mut profile = all_but(&["mkdir"], "SCMP_ACT_NOTIFY");
    profile["listenerPath"] = json!(socket);
    let (error, _) = sandbox.start_error(&spec(&sandbox, "touch /ran", profile));
    let told = format!("container test: give the seccomp listener to {}: No such file", socket.display());
    assert!(error.starts_with(&told), "{error}");
    assert!(!sandbox.upper("ran").exists());
}

#[test]
fn a_user_namespace_s_container_is_filtered() {
    let sandbox = Sandbox::new();
    let mut spec = spec(
        &sandbox,
        "grep -E '^Seccomp:|^CapEff' /proc/self/status; mkdir /new",
        all_but(&["mkdir", "mkdirat"], "SCMP_ACT_ERRNO"),
    );
    push(&mut spec["linux"]["namespaces"], json!({ "type": "user" }));
    let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    spec["linux"]["uidMappings"] = mapping.clone();
    spec["linux"]["gidMappings"] = mapping;
    both(spec, |spec| {
        let output = sandbox.run(spec);
        assert_eq!(output.stdout, "CapEff:\t00000000a80425fb\nSeccomp:\t2\n", "{output:?}");
    });
}
