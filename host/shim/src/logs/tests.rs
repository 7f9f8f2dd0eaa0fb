use std::{fs, io::Write as _};

use rustix::pipe::{PipeFlags, pipe_with};

use super::*;

fn cri(stream: Stream) -> Format {
    Format::Cri { stream, max_line: 64 }
}

/// A source of the owner's, and the end to write to.
fn source(logs: &Logs, owner: u64, sink: &Arc<Mutex<Sink>>, format: &Format) -> fs::File {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    logs.add(owner, read, Some(sink.clone()), format).unwrap();
    fs::File::from(write)
}

#[tokio::test]
async fn two_streams_share_a_file_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, path) = (Logs::default(), dir.path().join("0.log"));
    let sink = open_sink(&path).unwrap();
    let mut stdout = source(&logs, 1, &sink, &cri(Stream::Stdout));
    let mut stderr = source(&logs, 1, &sink, &cri(Stream::Stderr));
    stdout.write_all(b"out one\nout ").unwrap();
    logs.drain(1).await;
    stderr.write_all(b"err one\n").unwrap();
    logs.drain(1).await;
    stdout.write_all(b"two\n").unwrap();
    drop((stdout, stderr));
    logs.drain(1).await;
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(lines, ["stdout F out one", "stderr F err one", "stdout F out two"]);
}

#[tokio::test]
async fn a_removed_source_keeps_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, path) = (Logs::default(), dir.path().join("raw"));
    let sink = open_sink(&path).unwrap();
    let mut held = source(&logs, 7, &sink, &Format::Raw);
    let mut lines = source(&logs, 7, &sink, &cri(Stream::Stdout));
    held.write_all(b"no newline").unwrap();
    logs.drain(7).await;
    lines.write_all(b"unfinished").unwrap();
    logs.remove(7);
    // The thread obeys in order: what it does for another comes after.
    let _other = source(&logs, 8, &sink, &Format::Raw);
    logs.drain(8).await;
    logs.remove(8);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("no newline") && text.ends_with("stdout P unfinished\n"), "{text}");
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while Arc::strong_count(&sink) > 1 {
        assert!(std::time::Instant::now() < end, "the file is not let go");
        std::thread::yield_now();
    }
    assert!(held.write_all(b"x").is_err(), "the pipe is closed");
}

#[tokio::test]
async fn a_megabyte_of_empty_lines_arrives_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, path) = (Logs::default(), dir.path().join("0.log"));
    let sink = open_sink(&path).unwrap();
    let mut stdout = source(&logs, 1, &sink, &cri(Stream::Stdout));
    let wrote = tokio::task::spawn_blocking(move || stdout.write_all(&vec![b'\n'; 1 << 20]));
    wrote.await.unwrap().unwrap();
    logs.drain(1).await;
    assert_eq!(fs::read(&path).unwrap().iter().filter(|&&byte| byte == b'\n').count(), 1 << 20);
}
