use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::io::{Errno, write};
use tokio::sync::oneshot;
use wharf_shim_api::AttachEnd;

use super::Stream;

/// How long the container may have to wait for a client that is attached and does not read, before that is let go.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a client reads in a second, bytes, to be waited for as long as it likes: an interactive one over a slow line.
const SLOWEST: u64 = 64 * 1024;

/// What is kept for a client whose container has ended, bytes: the last of a pipe or a terminal. Nobody waits then.
const LAST: usize = 256 * 1024;

/// One stream of an attached client. Its FIFO is the buffer; what does not fit makes the source wait, within limits.
pub struct Listener {
    pub owner: u64,
    pub stream: Stream,
    /// Which attachment it is part of.
    pub session: u64,
    pub fd: OwnedFd,
    /// Read from the source, not yet in the FIFO.
    pending: Vec<u8>,
    /// Since when the source waits for it, less what it has made good by reading.
    blocked: Option<Instant>,
    patience: Duration,
    /// No more will come.
    closing: bool,
    done: Option<oneshot::Sender<AttachEnd>>,
}

// === impl Listener ===

impl Listener {
    pub fn new(owner: u64, stream: Stream, session: u64, fd: OwnedFd, done: oneshot::Sender<AttachEnd>) -> Self {
        Self {
            owner,
            stream,
            session,
            fd,
            pending: Vec::new(),
            blocked: None,
            patience: PATIENCE,
            closing: false,
            done: Some(done),
        }
    }

    /// Whether its source has to wait.
    pub fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// When it is to be let go, unless it reads before.
    pub fn expires(&self) -> Option<Instant> {
        self.blocked.map(|since| since + self.patience)
    }

    /// Hands it bytes. A reason: it has come to its end.
    pub fn push(&mut self, bytes: &[u8], now: Instant) -> Option<AttachEnd> {
        let mut rest = bytes;
        if self.pending.is_empty() {
            match put(&self.fd, bytes) {
                Ok(count) => rest = &bytes[count..],
                Err(end) => return Some(end),
            }
        }
        if rest.is_empty() {
            return None;
        }
        if self.pending.len() + rest.len() > LAST {
            return Some(AttachEnd::TooSlow);
        }
        self.pending.extend_from_slice(rest);
        self.blocked.get_or_insert(now);
        None
    }

    /// Its FIFO may have room again, or its time may be up. A reason: it has come to its end.
    pub fn advance(&mut self, now: Instant) -> Option<AttachEnd> {
        let Some(since) = self.blocked else { return self.closing.then_some(AttachEnd::Ended) };
        let count = match put(&self.fd, &self.pending) {
            Ok(count) => count,
            Err(end) => return Some(end),
        };
        self.pending.drain(..count);
        let left = self.patience.saturating_sub(now.duration_since(since));
        let earned = Duration::from_millis(count as u64 * 1000 / SLOWEST);
        self.patience = left.saturating_add(earned).min(PATIENCE);
        if self.pending.is_empty() {
            self.pending = Vec::new();
            self.blocked = None;
            return self.closing.then_some(AttachEnd::Ended);
        }
        self.blocked = Some(now);
        // What it has earned comes too late.
        left.is_zero().then_some(AttachEnd::TooSlow)
    }

    /// No more will come: it ends as soon as what is pending is in the FIFO.
    pub fn close(&mut self) -> Option<AttachEnd> {
        self.closing = true;
        self.pending.is_empty().then_some(AttachEnd::Ended)
    }

    /// Tells whoever waits for the end.
    pub fn tell(&mut self, end: AttachEnd) {
        if let Some(done) = self.done.take() {
            // Who asked may have gone.
            let _ = done.send(end);
        }
    }
}

/// Writes what fits.
fn put(fd: &OwnedFd, bytes: &[u8]) -> Result<usize, AttachEnd> {
    let mut written = 0;
    while written < bytes.len() {
        match write(fd, &bytes[written..]) {
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            // Its reader has closed.
            Err(_) => return Err(AttachEnd::Detached),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{
        io::read,
        pipe::{PipeFlags, pipe_with},
    };

    static SOURCE: [u8; 40 * 1024] = [7; 40 * 1024];

    fn listener() -> (OwnedFd, Listener, oneshot::Receiver<AttachEnd>) {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let (done, ended) = oneshot::channel();
        (reader, Listener::new(1, Stream::Stdout, 1, writer, done), ended)
    }

    #[test]
    fn one_that_does_not_read_is_waited_for_two_seconds() {
        let (_reader, mut listener, _ended) = listener();
        let begin = Instant::now();
        assert_eq!(listener.push(&SOURCE, begin), None);
        assert!(!listener.is_blocked(), "the FIFO takes so much");
        assert_eq!(listener.push(&SOURCE, begin), None);
        assert!(listener.is_blocked());
        assert_eq!(listener.expires(), Some(begin + PATIENCE));
        assert_eq!(listener.advance(begin + PATIENCE - Duration::from_millis(1)), None);
        assert_eq!(listener.advance(begin + PATIENCE), Some(AttachEnd::TooSlow));
    }

    #[test]
    fn a_slow_reader_keeps_its_place_and_gets_every_byte() {
        let (reader, mut listener, _ended) = listener();
        let mut now = Instant::now();
        let (mut sent, mut got) = (0, 0);
        let mut part = [0; 8 * 1024];
        while sent < 64 * SOURCE.len() {
            if !listener.is_blocked() {
                assert_eq!(listener.push(&SOURCE, now), None);
                sent += SOURCE.len();
            }
            // 80 KiB a second.
            now += Duration::from_millis(100);
            got += read(&reader, &mut part).unwrap();
            assert_eq!(listener.advance(now), None, "after {got} bytes");
        }
        while listener.is_blocked() {
            got += read(&reader, &mut part).unwrap();
            assert_eq!(listener.advance(now), None);
        }
        while got < sent {
            got += read(&reader, &mut part).unwrap();
        }
        assert_eq!(got, sent);
    }

    #[test]
    fn one_that_trickles_is_let_go() {
        let (reader, mut listener, _ended) = listener();
        let mut now = Instant::now();
        listener.push(&SOURCE, now);
        listener.push(&SOURCE, now);
        let mut seconds = 0;
        loop {
            now += Duration::from_secs(1);
            seconds += 1;
            read(&reader, &mut [0; 4096]).unwrap();
            if let Some(end) = listener.advance(now) {
                assert_eq!(end, AttachEnd::TooSlow);
                break;
            }
            assert!(seconds < 10);
        }
    }

    #[test]
    fn the_end_comes_after_the_last_byte_and_a_reader_that_left_is_seen() {
        let (reader, mut listener, mut ended) = listener();
        let now = Instant::now();
        listener.push(&SOURCE, now);
        listener.push(&SOURCE, now);
        assert_eq!(listener.close(), None);
        let mut part = vec![0; 2 * SOURCE.len()];
        read(&reader, &mut part).unwrap();
        assert_eq!(listener.advance(now), Some(AttachEnd::Ended));
        listener.tell(AttachEnd::Ended);
        assert_eq!(ended.try_recv().unwrap(), AttachEnd::Ended);
        drop(reader);
        assert_eq!(listener.push(b"x", now), Some(AttachEnd::Detached));
    }
}
