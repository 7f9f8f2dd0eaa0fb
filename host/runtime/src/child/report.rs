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
}

/// Why a step failed: what the child sends before it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) errno: Errno,
    pub(super) value: i32,
    pub(super) text: Text,
}

/// A few words of the kernel's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    bytes: [u8; TEXT],
    length: usize,
}

impl Text {
    pub(super) const EMPTY: Self = Self { bytes: [0; TEXT], length: 0 };

    /// What a file system context says about its last error; empty when it says nothing.
    pub(super) fn of_context(context: RawFd) -> Self {
        let mut text = Self::EMPTY;
        text.length = sys::read(context, &mut text.bytes).unwrap_or(0);
        text
    }

    pub(super) fn of(words: &str) -> Self {
        let mut text = Self::EMPTY;
        for (to, from) in text.bytes.iter_mut().zip(words.bytes()) {
            *to = from;
            text.length += 1;
        }
        text
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self { errno, value: 0, text: Text::EMPTY }
    }
}

/// Sends a message. That nobody listens any more shows at the next read.
pub(super) fn send(channel: RawFd, tag: Tag, step: u32, failure: Failure, fd: Option<RawFd>) {
    let mut message = [0_u8; HEADER + TEXT];
    let numbers = [tag as u32, step, failure.errno.0.cast_unsigned(), failure.value.cast_unsigned()];
    let bytes = numbers.iter().flat_map(|number| number.to_ne_bytes()).chain(failure.text.bytes);
    for (to, from) in message.iter_mut().zip(bytes) {
        *to = from;
    }
    let length = HEADER.saturating_add(failure.text.length).min(message.len());
    let _ = sys::send(channel, message.get(..length).unwrap_or(&message), fd);
}
