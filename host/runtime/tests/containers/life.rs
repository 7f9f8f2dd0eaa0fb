use serde_json::json;

use crate::support::{Sandbox, pipes};

#[test]
fn output_and_exit_codes_come_out() {
    let sandbox = Sandbox::new();
    let output = sandbox.sh("echo out; echo err >&2; exit 42");
    assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.code), ("out\n", "err\n", 42));
    let output = Sandbox::new().sh("kill -TERM $$; echo survived");
    assert_eq!(output.stdout, "survived\n", "the first process has no default actions");
}

#[test]
fn it_stands_before_its_program_until_the_start() {
    let sandbox = Sandbox::new();
    let (stdio, pipes) = pipes();
    let container = sandbox.create(&sandbox.spec(&["sh", "-c", "echo ran > /made"]), stdio).unwrap();
    let program = std::fs::read_link(format!("/proc/{}/exe", container.pid())).unwrap();
    assert_eq!(program, std::env::current_exe().unwrap(), "it is still our own image");
    assert!(!sandbox.upper("made").exists());
    container.start().unwrap();
    assert_eq!(pipes.wait(container.pidfd()).code, 0);
    assert!(sandbox.upper("made").exists());
    let second = container.start().unwrap_err();
    assert_eq!(second.to_string(), "container test: it was started before");
}

#[test]
fn it_ends_with_its_maker() {
    let sandbox = Sandbox::new();
    let (stdio, pipes) = pipes();
    let container = sandbox.create(&sandbox.spec(&["sh", "-c", "echo ran"]), stdio).unwrap();
    let pidfd = container.pidfd().try_clone_to_owned().unwrap();
    drop(container);
    let output = pipes.wait(std::os::fd::AsFd::as_fd(&pidfd));
    assert_eq!((output.stdout.as_str(), output.code), ("", 0));
}

#[test]
fn it_can_be_killed_before_and_after_the_start() {
    let sandbox = Sandbox::new();
    let (stdio, pipes) = pipes();
    let container = sandbox.create(&sandbox.spec(&["sleep", "1000"]), stdio).unwrap();
    container.kill(libc::SIGKILL).unwrap();
    assert_eq!(pipes.wait(container.pidfd()).code, 128 + libc::SIGKILL);
    assert_eq!(container.start().unwrap_err().to_string(), "container test: it ended before it was started");
    let error = container.kill(libc::SIGTERM).unwrap_err();
    assert_eq!(error.to_string(), "container test: process already finished");
    assert!(error.is_not_found());
}

#[test]
fn a_program_that_cannot_be_executed_is_told_as_by_runc() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.lower("etc/script"), "#!/no/such/interpreter\n").unwrap();
    std::fs::write(sandbox.lower("etc/garbage"), "garbage").unwrap();
    for name in ["etc/script", "etc/garbage"] {
        std::os::unix::fs::chown(sandbox.lower(name), Some(0), Some(0)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(sandbox.lower(name), mode).unwrap();
    }
    for (program, text, code) in [
        ("nope", r#"exec: "nope": executable file not found in $PATH"#, 127),
        ("/nope", r#"exec: "/nope": stat /nope: no such file or directory"#, 127),
        ("/etc/passwd", r#"exec: "/etc/passwd": permission denied"#, 126),
        ("/etc", r#"exec: "/etc": is a directory"#, 126),
        ("/etc/passwd/x", r#"exec: "/etc/passwd/x": stat /etc/passwd/x: no such file or directory"#, 127),
        ("/etc/script", "exec /etc/script: no such file or directory (it is there, but", 127),
        ("/etc/garbage", "exec /etc/garbage: exec format error", 126),
    ] {
        let (error, exit) = sandbox.start_error(&sandbox.spec(&[program]));
        assert!(error.starts_with(&format!("container test: {text}")), "{program}: {error}");
        assert_eq!(exit, code, "{program}");
    }
}

#[test]
fn a_failing_step_is_named_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    spec["mounts"][1]["options"] = json!(["size=nonsense"]);
    let error = sandbox.refusal(&spec).to_string();
    assert!(error.starts_with("container test: mount /dev: "), "{error}");
    assert!(error.contains("size"), "the kernel's own words are there: {error}");

    let mut spec = sandbox.spec(&["true"]);
    spec["mounts"][0] = json!({ "destination": "/data", "type": "bind", "source": "/no/such", "options": ["rbind"] });
    let error = sandbox.refusal(&spec).to_string();
    assert!(error.contains("mount /data: bind source /no/such: No such file or directory"), "{error}");

    let mut spec = sandbox.spec(&["true"]);
    spec["linux"]["intelRdt"] = json!({});
    assert_eq!(sandbox.refusal(&spec).kind(), wharf_error::Kind::Unsupported);
}

#[test]
fn signals_are_as_a_program_expects_them() {
    let sandbox = Sandbox::new();
    let status = sandbox.sh("grep -E '^Sig(Blk|Ign|Cgt)' /proc/1/status; grep SigBlk /proc/self/status").ok();
    let mask = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk"), 0, "{status}");
    assert_eq!(mask("SigIgn") & (1 << (libc::SIGPIPE - 1)), 0, "Rust ignores SIGPIPE, its children must not: {status}");
}

#[test]
fn environment_home_and_hostname() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sh", "-c", "echo $HOME $X $(hostname) $(umask)"]);
    spec["process"]["env"] = json!(["PATH=/bin", "X=1=2"]);
    assert_eq!(sandbox.run(&spec).ok(), "/root 1=2 inside 0022");
    spec["process"]["env"] = json!(["PATH=/bin", "HOME=/elsewhere"]);
    spec["process"]["user"]["umask"] = json!(0o77);
    assert_eq!(Sandbox::new().run(&spec).ok(), "/elsewhere inside 0077");
}
