use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::PathBuf,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use wharf_error::Kind;

use super::*;

fn fifo(dir: &tempfile::TempDir, name: &str) -> PathBuf {
    let path = dir.path().join(name);
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    path
}

fn names(stdin: &str, stdout: &str, stderr: &str) -> StdioNames {
    StdioNames { stdin: stdin.into(), stdout: stdout.into(), stderr: stderr.into(), terminal: false }
}

fn files(stdio: ProcessStdio) -> (File, File, File) {
    match stdio {
        ProcessStdio::Files { stdin, stdout, stderr } => (stdin.into(), stdout.into(), stderr.into()),
        ProcessStdio::Terminal { .. } => panic!("a terminal"),
    }
}

#[test]
fn fifos_open_without_a_caller_and_keep_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (fifo(&dir, "in"), fifo(&dir, "out"));
    let names = names(input.to_str().unwrap(), output.to_str().unwrap(), "");
    let (stdio, mut attached) = open(&names, 1, &Logs::default(), None).unwrap();
    let (mut stdin, mut stdout, mut stderr) = files(stdio);
    stdout.write_all(b"nobody reads yet").unwrap();
    drop(stdout);
    stderr.write_all(b"into nothing").unwrap();
    let mut text = String::new();
    // A caller opens without waiting for a writer: it may be gone already.
    let mut late = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&output).unwrap();
    late.read_to_string(&mut text).unwrap();
    assert_eq!(text, "nobody reads yet");

    let mut writer = OpenOptions::new().write(true).open(&input).unwrap();
    writer.write_all(b"hello").unwrap();
    drop(writer);
    let mut hello = [0; 5];
    stdin.read_exact(&mut hello).unwrap();
    attached.close_stdin();
    assert_eq!(stdin.read(&mut hello).unwrap(), 0, "the end comes with CloseIO");
}

#[tokio::test]
async fn both_streams_of_a_log_share_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("0.log");
    let uri = Stdio::cri_log(&log).to_string();
    let logs = Logs::default();
    let (stdio, _attached) = open(&names("", &uri, &uri), 3, &logs, None).unwrap();
    let (_stdin, mut stdout, mut stderr) = files(stdio);
    stdout.write_all(b"one\n").unwrap();
    logs.drain(3).await;
    stderr.write_all(b"two\n").unwrap();
    drop((stdout, stderr));
    logs.drain(3).await;
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains(" stdout F one\n") && text.ends_with(" stderr F two\n"), "{text}");
}

#[test]
fn what_is_no_fifo_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let open =
        |stdin: &str, stdout: &str| open(&names(stdin, stdout, ""), 1, &Logs::default(), None).err().unwrap().kind();
    assert_eq!(open("", file.to_str().unwrap()), Kind::InvalidArgument);
    assert_eq!(open("file:///tmp/x", ""), Kind::InvalidArgument);
    assert_eq!(open("", "/does/not/exist"), Kind::FailedPrecondition);
    assert_eq!(open("", "binary:///bin/logger"), Kind::Unsupported);
}
