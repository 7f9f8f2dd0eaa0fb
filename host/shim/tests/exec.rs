//! Further processes in a container, their streams and ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it fails")]

mod common;

use std::{
    fs::OpenOptions,
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::json;
use wharf_error::Kind;
use wharf_shim_api::{
    TaskEvent, from_status,
    task::{CloseIORequest, ExecProcessRequest, ResizePtyRequest, Status},
    to_json,
};

use crate::common::{Container, DEADLINE, Pod, ctx, eventually};

fn fifo(pod: &Pod, name: &str) -> PathBuf {
    let path = pod.dir.path().join(name);
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    path
}

/// As a daemon opens it: at once, whoever is there.
fn reader(path: &PathBuf) -> std::fs::File {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

/// All of a FIFO until its writers have closed.
fn read_all(mut fifo: std::fs::File) -> String {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(&fifo, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let mut text = String::new();
    fifo.read_to_string(&mut text).unwrap();
    text
}

async fn exec(pod: &Pod, exec_id: &str, script: &str, change: impl FnOnce(&mut ExecProcessRequest)) {
    let mut process = Container::sh("", script).process();
    process["user"] = json!({ "uid": 0, "gid": 0, "username": "web" });
    let mut request = ExecProcessRequest {
        id: "web".into(),
        exec_id: exec_id.into(),
        spec: Some(to_json("process", &process).unwrap()).into(),
        ..Default::default()
    };
    change(&mut request);
    pod.tasks.exec(ctx(), &request).await.unwrap();
}

#[tokio::test]
async fn streams_reach_the_callers_fifos() {
    let mut pod = Pod::ready("exec").await;
    pod.run(&Container::sh("web", "sleep 600")).await;
    let (stdin, stdout, stderr) = (fifo(&pod, "in"), fifo(&pod, "out"), fifo(&pod, "err"));
    let (out, err) = (reader(&stdout), reader(&stderr));
    exec(&pod, "e1", "id; cat; echo problem >&2; exit 42", |request| {
        request.stdin = stdin.display().to_string();
        request.stdout = stdout.display().to_string();
        request.stderr = stderr.display().to_string();
    })
    .await;
    let pid = pod.start_task("web", "e1").await.unwrap();
    assert_eq!(pod.state("web", "e1").await.unwrap().pid, pid);
    let mut input = OpenOptions::new().write(true).open(&stdin).unwrap();
    input.write_all(b"from the caller\n").unwrap();
    drop(input);
    let close = CloseIORequest { id: "web".into(), exec_id: "e1".into(), stdin: true, ..Default::default() };
    pod.tasks.close_io(ctx(), &close).await.unwrap();
    assert_eq!(pod.wait("web", "e1").await, 42);
    let out = read_all(out);
    assert!(out.contains("uid=1000(web) gid=1001(web)") && out.contains("2000(extra)"), "{out}");
    assert!(out.ends_with("from the caller\n"), "{out}");
    assert_eq!(read_all(err), "problem\n");
    assert_eq!(pod.delete("web", "e1").await.unwrap().exit_status, 42);
    assert_eq!(from_status("", pod.state("web", "e1").await.unwrap_err()).kind(), Kind::NotFound);
    let told: Vec<_> = [pod.next_event().await, pod.next_event().await, pod.next_event().await].into();
    assert!(matches!(&told[2], TaskEvent::ExecAdded(e) if e.exec_id == "e1"), "{told:?}");
    assert!(matches!(pod.next_event().await, TaskEvent::ExecStarted(e) if e.pid == pid));
    assert!(matches!(pod.next_event().await, TaskEvent::Exit(e) if e.id == "e1" && e.exit_status == 42));
    assert_eq!(pod.state("web", "").await.unwrap().status.unwrap(), Status::RUNNING);
    pod.finish().await;
}

#[tokio::test]
async fn an_exec_can_be_killed_and_a_wrong_one_is_told() {
    let pod = Pod::ready("execkill").await;
    pod.run(&Container::sh("web", "sleep 600")).await;
    exec(&pod, "long", "sleep 600", |_| {}).await;
    pod.start_task("web", "long").await.unwrap();
    assert_eq!(from_status("", pod.delete("web", "long").await.unwrap_err()).kind(), Kind::FailedPrecondition);
    pod.kill("web", "long", 9, false).await.unwrap();
    assert_eq!(pod.wait("web", "long").await, 137);
    exec(&pod, "bad", "", |request| {
        let process = Container::args("", &["/nowhere"]).process();
        request.spec = Some(to_json("process", &process).unwrap()).into();
    })
    .await;
    let error = from_status("", pod.start_task("web", "bad").await.unwrap_err()).to_string();
    assert!(error.contains("no such file or directory"), "{error}");
    pod.delete("web", "bad").await.unwrap();
    pod.finish().await;
}

#[tokio::test]
async fn execs_end_with_their_container() {
    let pod = Pod::ready("execend").await;
    pod.run(&Container::sh("web", "sleep 600")).await;
    exec(&pod, "e", "sleep 600", |_| {}).await;
    pod.start_task("web", "e").await.unwrap();
    pod.kill("web", "", 9, false).await.unwrap();
    assert_eq!(pod.wait("web", "").await, 137);
    assert_eq!(pod.wait("web", "e").await, 137);
    pod.finish().await;
}

#[tokio::test]
async fn a_terminal_has_a_size_and_both_directions() {
    let pod = Pod::ready("tty").await;
    let mut container = Container::sh("tty", "tty; read line; echo got $line; stty size; exit 5");
    container.terminal = true;
    let (stdin, stdout) = (fifo(&pod, "in"), fifo(&pod, "out"));
    let out = reader(&stdout);
    pod.create_with(&container, |request| {
        request.terminal = true;
        request.stdin = stdin.display().to_string();
        request.stdout = stdout.display().to_string();
        request.stderr = String::new();
    })
    .await
    .unwrap();
    let resize = ResizePtyRequest { id: "tty".into(), width: 123, height: 45, ..Default::default() };
    pod.tasks.resize_pty(ctx(), &resize).await.unwrap();
    pod.start_task("tty", "").await.unwrap();
    let mut input = OpenOptions::new().write(true).open(&stdin).unwrap();
    input.write_all(b"hello\n").unwrap();
    assert_eq!(pod.wait("tty", "").await, 5);
    pod.delete("tty", "").await.unwrap();
    let text = tokio::time::timeout(DEADLINE, tokio::task::spawn_blocking(|| read_all(out))).await.unwrap().unwrap();
    assert!(text.contains("/dev/pts/0") && text.contains("got hello") && text.contains("45 123"), "{text}");
    pod.finish().await;
}

#[tokio::test]
async fn a_terminals_output_can_be_a_log() {
    let pod = Pod::ready("ttylog").await;
    let mut container = Container::sh("tty", "echo on a terminal");
    container.terminal = true;
    pod.create_with(&container, |request| request.terminal = true).await.unwrap();
    pod.start_task("tty", "").await.unwrap();
    assert_eq!(pod.wait("tty", "").await, 0);
    eventually("no log", || pod.log("tty").iter().any(|line| line.starts_with("stdout F on a terminal")));
    pod.finish().await;
}
