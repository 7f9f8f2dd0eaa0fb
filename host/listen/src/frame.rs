//! As much of HTTP/2's frames (RFC 9113, section 4) as it takes to find requests.

use std::io;

/// What a client's connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The bytes before a frame's payload.
pub(crate) const HEAD: usize = 9;
/// The longest payload that a peer may send which was told nothing else, and we tell nothing else.
pub(crate) const LONGEST: usize = 16 << 10;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// A stream and its weight, which nobody heeds any more.
const PRIORITY_BYTES: usize = 5;

/// What stands before a frame's payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// Of the payload.
    pub(crate) length: usize,
    kind: u8,
    flags: u8,
    stream: [u8; 4],
}

// === impl Head ===

impl Head {
    pub(crate) fn read(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        Self { length, kind, flags, stream }
    }

    pub(crate) fn begins_headers(self) -> bool {
        self.kind == HEADERS
    }

    pub(crate) fn goes_on_with(self, first: Self) -> bool {
        self.kind == CONTINUATION && self.stream == first.stream
    }

    pub(crate) fn ends_headers(self) -> bool {
        self.flags & END_HEADERS != 0
    }

    /// The part of a payload that is a part of the header block.
    pub(crate) fn fragment(self, payload: &[u8]) -> io::Result<&[u8]> {
        let short = || io::Error::new(io::ErrorKind::InvalidData, "a frame of headers is shorter than it says");
        if self.kind != HEADERS {
            return Ok(payload);
        }
        let (mut rest, mut padding) = (payload, 0);
        if self.flags & PADDED != 0 {
            let (first, after) = payload.split_first().ok_or_else(short)?;
            (rest, padding) = (after, usize::from(*first));
        }
        if self.flags & PRIORITY != 0 {
            rest = rest.get(PRIORITY_BYTES..).ok_or_else(short)?;
        }
        rest.len().checked_sub(padding).and_then(|end| rest.get(..end)).ok_or_else(short)
    }
}

/// Writes a header block on the stream of `first`, as one frame or, where it is long, as several.
pub(crate) fn write(first: Head, block: &[u8], out: &mut Vec<u8>) {
    let parts = block.len().div_ceil(LONGEST).max(1);
    for part in 0..parts {
        let begin = part.saturating_mul(LONGEST);
        let bytes = block.get(begin..block.len().min(begin.saturating_add(LONGEST))).unwrap_or_default();
        let last = part.saturating_add(1) == parts;
        let flags = if part == 0 { first.flags & END_STREAM } else { 0 } | if last { END_HEADERS } else { 0 };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        out.extend_from_slice(&length[1..]);
        out.extend_from_slice(&[if part == 0 { HEADERS } else { CONTINUATION }, flags]);
        out.extend_from_slice(&first.stream);
        out.extend_from_slice(bytes);
    }
}
