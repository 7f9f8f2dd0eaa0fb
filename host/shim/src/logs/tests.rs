use std::{fs, io::Write as _};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    pipe::{PipeFlags, pipe_with},
};

use super::*;

const RAW: Format = Format::Raw { stream: Stream::Stdout };

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
    let mut held = source(&logs, 7, &sink, &RAW);
    let mut lines = source(&logs, 7, &sink, &cri(Stream::Stdout));
    held.write_all(b"no newline").unwrap();
    logs.drain(7).await;
    lines.write_all(b"unfinished").unwrap();
    logs.remove(7);
    // The thread obeys in order: what it does for another comes after.
    let _other = source(&logs, 8, &sink, &RAW);
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

/// A client's FIFO: the end it reads, and the news of its end.
fn listen(logs: &Logs, owner: u64, stream: Stream, session: u64) -> (fs::File, oneshot::Receiver<AttachEnd>) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let flags = fcntl_getfl(&write).unwrap();
    fcntl_setfl(&write, flags | OFlags::NONBLOCK).unwrap();
    (fs::File::from(read), logs.listen(owner, stream, session, write).unwrap())
}

#[tokio::test]
async fn attached_clients_get_every_byte_that_the_log_gets() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, path) = (Logs::default(), dir.path().join("raw"));
    let sink = open_sink(&path).unwrap();
    let mut stdout = source(&logs, 1, &sink, &RAW);
    let readers: Vec<_> = (0..2).map(|session| listen(&logs, 1, Stream::Stdout, session)).collect();
    let (mut other, other_end) = listen(&logs, 1, Stream::Stderr, 9);
    let sent: Vec<u8> = (0..4u32 << 20).map(|n| (n % 251).to_le_bytes()[0]).collect();
    let writing = {
        let sent = sent.clone();
        tokio::task::spawn_blocking(move || stdout.write_all(&sent))
    };
    let read = |(mut reader, end): (fs::File, oneshot::Receiver<AttachEnd>)| {
        let got = tokio::task::spawn_blocking(move || {
            let mut got = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut got).unwrap();
            got
        });
        (got, end)
    };
    for (got, end) in readers.into_iter().map(read).collect::<Vec<_>>() {
        assert!(got.await.unwrap() == sent, "not what was sent");
        assert_eq!(end.await.unwrap(), AttachEnd::Ended);
    }
    writing.await.unwrap().unwrap();
    logs.drain(1).await;
    assert!(fs::read(&path).unwrap() == sent);
    assert_eq!(other_end.await.unwrap(), AttachEnd::Ended, "there is no such source");
    assert_eq!(std::io::Read::read(&mut other, &mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go_and_others_do_not_notice() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, path) = (Logs::default(), dir.path().join("raw"));
    let sink = open_sink(&path).unwrap();
    let mut stdout = source(&logs, 1, &sink, &RAW);
    let mut bystander = source(&logs, 2, &open_sink(&dir.path().join("other")).unwrap(), &RAW);
    let (_stalled, end) = listen(&logs, 1, Stream::Stdout, 1);
    let (_its_errors, errors_end) = listen(&logs, 1, Stream::Stderr, 1);
    let writing = tokio::task::spawn_blocking(move || stdout.write_all(&vec![b'x'; 1 << 20]));
    bystander.write_all(b"goes on").unwrap();
    logs.drain(2).await;
    assert_eq!(fs::read(dir.path().join("other")).unwrap(), b"goes on");
    assert_eq!(end.await.unwrap(), AttachEnd::TooSlow);
    assert_eq!(errors_end.await.unwrap(), AttachEnd::Ended);
    writing.await.unwrap().unwrap();
    logs.drain(1).await;
    assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20, "the log has it all");
}

#[tokio::test]
async fn an_exit_does_not_wait_for_clients_but_they_get_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::default();
    let sink = open_sink(&dir.path().join("raw")).unwrap();
    let mut stdout = source(&logs, 1, &sink, &RAW);
    let (mut reader, end) = listen(&logs, 1, Stream::Stdout, 1);
    let length = 64 * 1024 + 40_000;
    let writing = tokio::task::spawn_blocking(move || {
        stdout.write_all(&vec![b'x'; length]).unwrap();
        stdout
    });
    let held = writing.await.unwrap();
    let begin = std::time::Instant::now();
    logs.drain(1).await;
    logs.finish(1);
    assert!(begin.elapsed() < Duration::from_secs(1), "the exit waited");
    let mut got = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut got).unwrap();
    assert_eq!(got.len(), length);
    assert_eq!(end.await.unwrap(), AttachEnd::Ended, "although somebody could still write");
    drop(held);
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_without_output() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::default();
    let sink = open_sink(&dir.path().join("raw")).unwrap();
    let _stdout = source(&logs, 1, &sink, &RAW);
    let (reader, end) = listen(&logs, 1, Stream::Stdout, 1);
    drop(reader);
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), end).await.unwrap().unwrap(), AttachEnd::Detached);
}
