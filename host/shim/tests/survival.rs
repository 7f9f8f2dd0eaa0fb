//! Each survives the one above: the shim its daemon, the cleaning its shim.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it fails")]

mod common;

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use nix::{
    sys::{
        signal::{Signal, kill},
        statfs::{TMPFS_MAGIC, statfs},
        statvfs::{FsFlags, statvfs},
    },
    unistd::Pid,
};
use protobuf::Message as _;
use wharf_shim_api::task::{DeleteResponse, Status};

use crate::common::{Container, Pod, eventually, gone};

fn shim(pod: &Pod) -> Pid {
    Pid::from_raw(pod.shim_pid().try_into().unwrap())
}

#[tokio::test]
async fn a_container_and_its_log_go_on_without_a_daemon() {
    let mut pod = Pod::ready("daemon").await;
    pod.run(&Container::sh("web", "echo before; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo after; exit 8"))
        .await;
    eventually("the first line", || pod.log("web").len() == 1);
    pod.kill_daemon().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(shim(&pod), signal).unwrap();
    }
    let pid = pod.state("web", "").await.unwrap().pid;
    fs::write(format!("/proc/{pid}/root/tmp/go"), "").unwrap();
    assert_eq!(pod.wait("web", "").await, 8);
    assert_eq!(pod.log("web"), ["stdout F before", "stdout F after"]);
    assert_eq!(pod.exit_record("web").unwrap().exit_code, 8);
    pod.reconnect().await;
    assert_eq!(pod.state("web", "").await.unwrap().status.unwrap(), Status::STOPPED);
    pod.finish().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_is_done_all_the_same() {
    let mut pod = Pod::ready("giveup").await;
    pod.create(&Container::sh("web", "sleep 600")).await.unwrap();
    let tasks = pod.tasks.clone();
    let start = wharf_shim_api::task::StartRequest { id: "web".into(), ..Default::default() };
    // The connection is closed while the call may be under way.
    let call = tokio::spawn(async move { tasks.start(common::ctx(), &start).await });
    tokio::task::yield_now().await;
    call.abort();
    pod.reconnect().await;
    // It was sent, or it was not: in both cases the container is in a state that goes on.
    if pod.state("web", "").await.unwrap().status.unwrap() == Status::CREATED {
        let _ = pod.start_task("web", "").await;
    }
    let mut state = pod.state("web", "").await.unwrap();
    while state.status.unwrap() == Status::CREATED {
        state = pod.state("web", "").await.unwrap();
    }
    assert_eq!(state.status.unwrap(), Status::RUNNING);
    pod.finish().await;
}

#[tokio::test]
async fn delete_takes_away_what_a_killed_shim_left() {
    let pod = Pod::with("killed", |_| {}).await;
    let pid = pod.run(&Container::sh("web", "trap '' TERM; sleep 600 & wait; sleep 600")).await;
    kill(shim(&pod), Signal::SIGKILL).unwrap();
    gone(pod.shim_pid());
    let answer = DeleteResponse::parse_from_bytes(&pod.delete_dead()).unwrap();
    assert_eq!(answer.exit_status, 137);
    gone(pid);
    assert_eq!(pod.exit_record("web").unwrap().exit_code, 137);
    pod.assert_nothing_left();
    pod.delete_dead();
}

#[tokio::test]
async fn delete_ends_a_shim_that_hangs() {
    let pod = Pod::ready("hangs").await;
    pod.run(&Container::sh("web", "sleep 600")).await;
    kill(shim(&pod), Signal::SIGSTOP).unwrap();
    pod.delete_dead();
    gone(pod.shim_pid());
    pod.assert_nothing_left();
}

#[tokio::test]
async fn a_shim_keeps_nothing_of_its_caller_and_cannot_be_overwritten() {
    let pod = Pod::ready("clean").await;
    let proc = Path::new("/proc").join(pod.shim_pid().to_string());
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap(), Path::new("/"));
    for fd in fs::read_dir(proc.join("fd")).unwrap().flatten() {
        let target = fs::read_link(fd.path()).unwrap_or_default().display().to_string();
        let known = ["/dev/null", "socket:", "anon_inode:", "pipe:", "net:", "ipc:", "uts:"];
        let own = target.starts_with(&pod.bundle.display().to_string());
        // The pod's shared memory: the root of a mount that is in no mount table.
        let shared = target == "/" && statfs(&fd.path()).unwrap().filesystem_type() == TMPFS_MAGIC;
        // Before Linux 6.15 that mount has a mount namespace to itself.
        let home = target.starts_with("mnt:") && Path::new(&target) != fs::read_link("/proc/self/ns/mnt").unwrap();
        assert!(
            own || shared || home || target.is_empty() || known.iter().any(|kind| target.starts_with(kind)),
            "{target}"
        );
    }
    assert!(statvfs(&proc.join("exe")).unwrap().flags().contains(FsFlags::ST_RDONLY));
    let truncated = fs::OpenOptions::new().write(true).truncate(true).open(proc.join("exe")).unwrap_err();
    assert_eq!(truncated.raw_os_error(), Some(libc::EROFS));
    let program = fs::metadata(env!("CARGO_BIN_EXE_containerd-shim-wharf-v1")).unwrap();
    assert_eq!(fs::metadata(proc.join("exe")).unwrap().ino(), program.ino(), "one file, one page cache");
    pod.finish().await;
}

#[tokio::test]
async fn a_second_start_finds_the_first() {
    let pod = Pod::ready("twice").await;
    let pid = pod.shim_pid();
    assert_eq!(pod.start_again("2"), pod.address);
    let parameters: serde_json::Value = serde_json::from_str(&pod.start_again("4")).unwrap();
    assert_eq!(parameters, serde_json::json!({ "version": 3, "address": pod.address, "protocol": "ttrpc" }));
    assert_eq!(pod.shim_pid(), pid);
    // One that was killed leaves its socket and a container; the next takes its place and them away.
    let container = pod.run(&Container::sh("web", "trap '' TERM; sleep 600 & wait; sleep 600")).await;
    kill(shim(&pod), Signal::SIGKILL).unwrap();
    gone(pid);
    assert_eq!(pod.start_again(""), pod.address);
    assert_ne!(pod.shim_pid(), pid);
    gone(container);
    assert!(!pod.bundle.join("shim.json").exists());
    pod.delete_dead();
    pod.assert_nothing_left();
}

/// A daemon that was killed while it started a shim has a successor that takes the shim away, maybe before there is one.
#[test]
fn what_starts_while_it_is_deleted_is_gone() {
    let dir = tempfile::tempdir_in("/run").unwrap();
    for round in 0..40 {
        let bundle = dir.path().join(format!("pod-{round}"));
        fs::create_dir(&bundle).unwrap();
        let verb = |verb: &str| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_containerd-shim-wharf-v1"));
            command
                .args(["-namespace", "test", "-id", "race", "-address", "/nowhere", "-bundle"])
                .arg(&bundle)
                .arg(verb);
            command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
            command.stderr(std::process::Stdio::null()).spawn().unwrap()
        };
        let mut start = verb("start");
        std::thread::sleep(std::time::Duration::from_micros(200 * round));
        assert!(verb("delete").wait().unwrap().success());
        // The one that starts may write into it while it is removed: whoever removes it asks again, as the kubelet does.
        eventually("the bundle is not removed", || fs::remove_dir_all(&bundle).is_ok());
        start.wait().unwrap();
    }
    let folder = dir.path().display().to_string();
    let left = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(&folder)).count()
    };
    eventually("a shim is left of a bundle that is gone", || left() == 0);
}

/// Kilobytes of a field of smaps_rollup.
fn kilobytes(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_idle_shim_is_small() {
    let pod = Pod::ready("small").await;
    pod.run(&Container::sh("web", "seq 20000; sleep 600")).await;
    for round in 0..20 {
        let id = format!("job{round}");
        pod.run(&Container::sh(&id, "seq 100")).await;
        pod.wait(&id, "").await;
        pod.delete(&id, "").await.unwrap();
    }
    eventually("its own memory stays above 1.5 megabytes", || kilobytes(pod.shim_pid(), "Pss_Anon:") < 1536);
    // A debug build's code is many times as large.
    if !cfg!(debug_assertions) {
        eventually("it stays above two megabytes", || kilobytes(pod.shim_pid(), "Pss:") < 2048);
    }
    println!(
        "idle shim: {} kB, its own {} kB",
        kilobytes(pod.shim_pid(), "Pss:"),
        kilobytes(pod.shim_pid(), "Pss_Anon:")
    );
    pod.finish().await;
}
