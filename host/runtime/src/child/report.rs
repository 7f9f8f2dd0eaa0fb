//! The messages between child and parent: one datagram each, at most one descriptor with it.

use crate::sys::{self, Errno, RawFd};

/// Of fixed size, so that the child needs no heap: four numbers, then text.
pub(super) const HEADER: usize = 16;
pub(super) const TEXT: usize = 240;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub(super) enum Tag {
    /// A step was clamped: errno, and the value that was taken.
    Warning = 1,
    /// A step failed: errno, and the candidate that an exec failed at.
    Failed = 2,
    /// Nothing but the exec is left.
    Ready = 3,
    /// The process that goes on: its pid, with its pidfd.
    Forked = 4,
    /// The terminal's master.
    Terminal = 5,
    /// The process that goes on says so itself: who it is, the kernel tells.
    Here = 6,
    /// The number of a seccomp filter's listener; the child waits.
    Listener = 7,
}

/// Why a step failed: what the child sends before it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) errno: Errno,
    pub(super) value: i32,
    pub(super) words: Words,
}

/// What there is to say besides the error number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Words {
    Ours(&'static str),
    /// The kernel's, to be read from this file system context, which is left open for it.
    Context(RawFd),
}

impl Failure {
    pub(super) fn new(errno: i32, words: &'static str) -> Self {
        Self { errno: Errno(errno), value: 0, words: Words::Ours(words) }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::new(errno.0, "")
    }
}

/// Sends a message. That nobody listens any more shows at the next read.
pub(super) fn send(channel: RawFd, tag: Tag, step: u32, failure: Failure, fd: Option<RawFd>) {
    let mut message = [0_u8; HEADER + TEXT];
    let (head, text) = message.split_at_mut(HEADER);
    let numbers = [tag as u32, step, failure.errno.0.cast_unsigned(), failure.value.cast_unsigned()];
    for (to, from) in head.iter_mut().zip(numbers.iter().flat_map(|number| number.to_ne_bytes())) {
        *to = from;
    }
    let length = match failure.words {
        Words::Ours(words) => {
            for (to, from) in text.iter_mut().zip(words.bytes()) {
                *to = from;
            }
            words.len()
        }
        Words::Context(context) => sys::read(context, text).unwrap_or(0),
    };
    let length = HEADER.saturating_add(length).min(message.len());
    let message = message.get(..length).unwrap_or(&message);
    // Of all that a seccomp filter may refuse, `write` is what profiles let pass, and what they may not ask a listener for.
    let _ = match fd {
        None => sys::write(channel, message).map(drop),
        Some(_) => sys::send(channel, message, fd),
    };
}
