//! Where the daemon is asked, and what is said where it does not answer.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use wharf_e2e::Node;
use wharf_testkit::{Daemon, wait_for};

use super::{DEADLINE, ok};

fn program() -> PathBuf {
    Daemon::bin_dir().unwrap().join("wharf")
}

/// Without what a node tells by the environment.
fn run(arguments: &[&str], variable: Option<&str>) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).env_remove("WHARF_SOCKET").envs(variable.map(|socket| ("WHARF_SOCKET", socket)));
    within(&mut command)
}

/// What hangs is a failure, and does not hang the test.
fn within(command: &mut Command) -> Output {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = wait_for(2 * DEADLINE, || child.try_wait().unwrap().is_some());
    if !ended {
        child.kill().unwrap();
    }
    let out = child.wait_with_output().unwrap();
    assert!(ended, "{command:?} hangs");
    out
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn the_socket_is_named_before_the_verb_or_after_it_by_path_or_url() {
    let Some(node) = Node::empty() else { return };
    let path = node.daemon.socket().display().to_string();
    let url = format!("unix://{path}");
    for (arguments, variable) in [
        (&["pods", "--socket", &path][..], None),
        (&["pods", "--socket", &url], None),
        (&["--socket", &path, "pods"], None),
        (&["--socket", &url, "plugin", "ls"], None),
        (&["--socket", "/no/such", "pods", "--socket", &path], None),
        (&["--socket", &path, "images"], Some("/no/such")),
        (&["snapshots", "--socket", &url], Some("/no/such")),
        (&["info"], Some(path.as_str())),
        (&["info"], Some(url.as_str())),
    ] {
        let out = run(arguments, variable);
        assert!(out.status.success(), "{arguments:?}, {variable:?}: {}", said(&out));
    }
    let out = run(&["pods"], Some(""));
    assert!(said(&out).contains("/run/wharf/wharf.sock"), "nothing is no socket: {}", said(&out));
    let out = run(&["--socket", &path, "completions", "bash"], None);
    assert!(out.status.code() == Some(2) && said(&out).contains("--socket"), "{}", said(&out));
    let out = run(&["pull"], Some(&path));
    assert!(out.status.code() == Some(2) && !said(&out).contains("--socket"), "it is not required: {}", said(&out));
    for arguments in [&["--help"][..], &["ps", "--help"], &["image", "import", "--help"]] {
        let help = String::from_utf8_lossy(&run(arguments, None).stdout).into_owned();
        assert!(help.contains("[env: WHARF_SOCKET] [default: /run/wharf/wharf.sock]"), "{arguments:?}: {help}");
    }
    let help = String::from_utf8_lossy(&run(&["--help"], None).stdout).into_owned();
    assert!(help.starts_with("Container runtime with Wasm plugins"), "{help}");
    node.finish();
}

#[test]
fn a_daemon_that_does_not_answer_is_told_of_in_time() {
    let Some(node) = Node::empty() else { return };
    let silent = node.daemon.scratch().join("test/silent.sock");
    let _listening = UnixListener::bind(&silent).unwrap();
    let silent = silent.display().to_string();
    for verb in [&["ps"][..], &["images"], &["pull", "x"], &["logs", "x"], &["exec", "x", "true"]] {
        let out = run(&[&["--socket", &silent][..], verb].concat(), None);
        let text = said(&out);
        assert_eq!(out.status.code(), Some(3), "{verb:?}: {text}");
        assert!(
            text.contains(&silent) && text.contains("has not answered") && !text.contains("is it running"),
            "{text}"
        );
    }
    let pid = Pid::from_raw(i32::try_from(node.daemon.pid().unwrap()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let stopped = within(&mut node.daemon.wharf(&["ps"]));
    let version = within(&mut node.daemon.wharf(&["version"]));
    kill(pid, Signal::SIGCONT).unwrap();
    assert!(stopped.status.code() == Some(3) && said(&stopped).contains("has not answered"), "{}", said(&stopped));
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(version.status.success() && text.contains("has not answered"), "its own version is known: {text}");
    ok(&node, &["ps"]);
    node.finish();
}

#[test]
fn who_is_not_root_is_told_so() {
    let Some(node) = Node::empty() else { return };
    // Where it is built may be root's alone, too.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (copy, socket) = (dir.path().join("wharf"), dir.path().join("w.sock"));
    fs::copy(program(), &copy).unwrap();
    let _listening = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
    let out = within(Command::new(&copy).arg("ps").env("WHARF_SOCKET", &socket).uid(65534).gid(65534).current_dir("/"));
    let text = said(&out);
    assert!(text.contains("Permission denied") && text.contains("root's alone: use sudo"), "{text}");
    assert!(out.status.code() == Some(3) && !text.contains("is it running"), "{text}");
    node.finish();
}
