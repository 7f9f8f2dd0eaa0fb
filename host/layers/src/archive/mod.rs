//! A reader of tar: ustar, PAX and GNU, from a stream, as Go's `archive/tar` understands them, because that is
//! what wrote nearly every layer and what the others read them with.
//!
//! The `tar` crate is not used to read: it splits PAX records at line feeds (a `security.capability` with a 0x0a
//! byte in it is then lost), and reads extended headers of any size into memory.

mod header;
mod members;
mod pax;
mod sparse;

use std::io::{self, BufRead, Read};

use wharf_error::{Error, Kind, Result};

pub use self::members::{Member, MemberKind, Members};

use self::{header::Header, pax::Records, sparse::Extent};

const BLOCK: usize = 512;

/// What an entry is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EntryKind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry, with all extended headers applied. Names are raw bytes, as the archive has them.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) path: Vec<u8>,
    /// Target of a hard or symbolic link.
    pub(crate) link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
    pub(crate) device: (u32, u32),
    /// Length of the file, holes included.
    pub(crate) size: u64,
    /// Where the data lies when the file has holes.
    pub(crate) extents: Option<Vec<Extent>>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Seconds and nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

/// The entries of a stream, one after another. As a reader it gives the stored data of the entry at hand.
pub(crate) struct Archive<R> {
    input: R,
    /// Data of the entry that was not read yet, and the zeroes up to the next block.
    left: u64,
    padding: u64,
    /// Bytes that extended headers of one entry may have.
    header_limit: usize,
    ended: bool,
}

/// What the extended headers before an entry say about it.
#[derive(Default)]
struct Extended {
    records: Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    bytes: usize,
}

// === impl Archive ===

impl<R: BufRead> Archive<R> {
    pub(crate) fn new(input: R, header_limit: usize) -> Self {
        Self { input, left: 0, padding: 0, header_limit, ended: false }
    }

    /// The next entry; what was left of the last one is skipped. `None` at the end of the archive, which is a block
    /// of zeroes or the end of the stream.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut extended = Extended::default();
        let mut expecting = false;
        while !self.ended {
            self.skip()?;
            let Some(block) = self.block()? else { break };
            if block.iter().all(|byte| *byte == 0) {
                self.ended = true;
                break;
            }
            let header = Header::parse(&block)?;
            match header.typeflag() {
                b'x' | b'X' => {
                    extended.records = Records::parse(&self.extension(&header, &mut extended.bytes)?)?;
                    expecting = true;
                }
                b'L' => {
                    extended.long_name = Some(until_nul(self.extension(&header, &mut extended.bytes)?));
                    expecting = true;
                }
                b'K' => {
                    extended.long_link = Some(until_nul(self.extension(&header, &mut extended.bytes)?));
                    expecting = true;
                }
                // Global records are a comment in practice (git archive), and ignored by every container runtime.
                b'g' => drop(self.extension(&header, &mut extended.bytes)?),
                // The volume's name.
                b'V' => self.expect(header.size()?),
                flag => return self.entry(&header, flag, extended).map(Some),
            }
        }
        self.ended = true;
        if expecting {
            return Err(Error::invalid("archive: an extended header is followed by no entry"));
        }
        Ok(None)
    }

    /// Reads the stream to its end: what follows the archive counts for the digests.
    pub(crate) fn drain(&mut self) -> Result<()> {
        loop {
            let step = self.input.fill_buf().map_err(reading)?.len();
            if step == 0 {
                return Ok(());
            }
            self.input.consume(step);
        }
    }

    /// The stream below.
    pub(crate) fn into_inner(self) -> R {
        self.input
    }

    fn entry(&mut self, header: &Header<'_>, flag: u8, extended: Extended) -> Result<Entry> {
        let Extended { records, long_name, long_link, bytes } = extended;
        let path = long_name.or_else(|| records.path().map(<[u8]>::to_vec)).unwrap_or_else(|| header.path());
        let link = long_link.or_else(|| records.link().map(<[u8]>::to_vec)).unwrap_or_else(|| header.link().to_vec());
        let fail = |error: Error| Error::invalid(format!("entry {}", printable(&path))).because(error);
        let kind = match flag {
            0 if path.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => return Err(fail(Error::invalid(format!("unknown type {:?}", char::from(other))))),
        };
        if path.contains(&0) || link.contains(&0) {
            return Err(fail(Error::invalid("NUL in a name")));
        }
        // Only files have data, whatever the size field of the others says: it is junk in old archives.
        let stored = match kind {
            EntryKind::File => records.size().map_err(&fail)?.map_or_else(|| header.size(), Ok).map_err(&fail)?,
            _ => 0,
        };
        self.expect(stored);
        let shape = match (kind, flag) {
            (EntryKind::File, b'S') => self.old_sparse(header, bytes).map_err(&fail)?,
            (EntryKind::File, _) => self.pax_sparse(&records, bytes).map_err(&fail)?,
            _ => None,
        };
        let (path, size, extents) = match shape {
            None => (path, stored, None),
            Some(shape) => {
                shape.check(self.left).map_err(&fail)?;
                (shape.name.unwrap_or(path), shape.size, Some(shape.extents))
            }
        };
        let fail = |error: Error| Error::invalid(format!("entry {}", printable(&path))).because(error);
        Ok(Entry {
            kind,
            link,
            mode: header.mode().map_err(&fail)?,
            uid: records.uid().map_err(&fail)?.map_or_else(|| header.uid(), Ok).map_err(&fail)?,
            gid: records.gid().map_err(&fail)?.map_or_else(|| header.gid(), Ok).map_err(&fail)?,
            mtime: records.mtime().map_err(&fail)?.map_or_else(|| header.mtime(), Ok).map_err(&fail)?,
            device: match kind {
                EntryKind::CharDevice | EntryKind::BlockDevice => header.device().map_err(&fail)?,
                _ => (0, 0),
            },
            size,
            extents,
            xattrs: records.into_xattrs(),
            path,
        })
    }

    /// Sets what data follows.
    fn expect(&mut self, stored: u64) {
        self.left = stored;
        self.padding = (BLOCK as u64 - stored % BLOCK as u64) % BLOCK as u64;
    }

    /// Passes over the rest of the entry at hand.
    fn skip(&mut self) -> Result<()> {
        // `left` comes from a header: up to 2^64 - 1, so the two are not added.
        for mut rest in [std::mem::take(&mut self.left), std::mem::take(&mut self.padding)] {
            while rest > 0 {
                let step = self.input.fill_buf().map_err(reading)?.len();
                if step == 0 {
                    return Err(truncated());
                }
                let step = usize::try_from(rest).map_or(step, |rest| rest.min(step));
                self.input.consume(step);
                rest -= step as u64;
            }
        }
        Ok(())
    }

    /// The next block; `None` when the stream ends before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]).map_err(reading)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(truncated()),
                n => filled += n,
            }
        }
        Ok(Some(block))
    }

    /// The data of an extended header, whole. `used` sums up over one entry.
    fn extension(&mut self, header: &Header<'_>, used: &mut usize) -> Result<Vec<u8>> {
        let size = header.size()?;
        let within = usize::try_from(size).ok().and_then(|size| size.checked_add(*used));
        *used = within.filter(|sum| *sum <= self.header_limit).ok_or_else(|| {
            Error::new(Kind::Exhausted, format!("archive: extended headers above {} bytes", self.header_limit))
        })?;
        self.expect(size);
        let mut data = Vec::new();
        self.read_to_end(&mut data).map_err(reading)?;
        Ok(data)
    }
}

impl<R: BufRead> BufRead for Archive<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let chunk = self.input.fill_buf()?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = usize::try_from(self.left).map_or(chunk.len(), |left| left.min(chunk.len()));
        Ok(&chunk[..end])
    }

    fn consume(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n as u64);
        self.input.consume(n);
    }
}

impl<R: BufRead> Read for Archive<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let n = chunk.len().min(into.len());
        into[..n].copy_from_slice(&chunk[..n]);
        self.consume(n);
        Ok(n)
    }
}

/// A name for an error's text: whatever bytes it has, one line, bounded.
pub(crate) fn printable(name: &[u8]) -> String {
    const SHOWN: usize = 200;
    let shown = name[..name.len().min(SHOWN)].escape_ascii();
    if name.len() > SHOWN { format!("{shown}…") } else { shown.to_string() }
}

/// A failed read of the archive: its end where it may not be is the content's fault.
pub(crate) fn reading(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => truncated(),
        _ => Error::internal("archive: read").because(error),
    }
}

fn truncated() -> Error {
    Error::invalid("archive: ends in the middle of an entry")
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}
