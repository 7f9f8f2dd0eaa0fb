use std::{
    fs::File,
    io::{BufReader, Seek as _},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{Archive, EntryKind, reading, truncated};
use crate::Limits;

/// The entries of an archive that lies in a file, their data skipped. Blocks; moves the file's offset.
///
/// It ends after the first error: `InvalidArgument` for what is no archive, `Exhausted` for more entries, longer names
/// or larger extended headers than the limits allow.
pub struct Members<'a> {
    archive: Archive<BufReader<&'a File>>,
    /// Of the whole file.
    length: u64,
    limits: Limits,
    count: u64,
    failed: bool,
}

/// One entry of an archive in a file. Names are raw bytes, as the archive has them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its name.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
}

/// What an entry of an archive in a file is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MemberKind {
    /// A regular file whose bytes lie in one piece, within the archive.
    File {
        /// Of its first byte, from the beginning of the archive.
        offset: u64,
        /// Bytes.
        size: u64,
    },
    /// Another name for the entry of this name.
    HardLink(Vec<u8>),
    /// A link to this path, as seen from its own folder.
    Symlink(Vec<u8>),
    /// A folder, a device, a file with holes.
    Other,
}

// === impl Members ===

impl<'a> Members<'a> {
    /// From the beginning of the file. Of the limits, those on entries, paths and headers count.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn of(mut file: &'a File, limits: &Limits) -> Result<Self> {
        let step = || "archive: read".to_owned();
        file.rewind().step(step)?;
        let length = file.metadata().step(step)?.len();
        let archive = Archive::new(BufReader::new(file), limits.header);
        Ok(Self { archive, length, limits: limits.clone(), count: 0, failed: false })
    }

    fn member(&mut self) -> Result<Option<Member>> {
        self.seek_on()?;
        let Some(entry) = self.archive.next_entry()? else { return Ok(None) };
        self.count += 1;
        let Limits { entries, path, .. } = self.limits;
        if self.count > entries {
            return Err(Error::new(Kind::Exhausted, format!("archive: more than {entries} entries")));
        }
        if entry.path.len().max(entry.link.len()) > path {
            return Err(Error::new(Kind::Exhausted, format!("archive: a name of more than {path} bytes")));
        }
        let kind = match entry.kind {
            EntryKind::File if entry.extents.is_none() => {
                let offset = self.archive.input.stream_position().map_err(reading)?;
                if offset.checked_add(entry.size).is_none_or(|end| end > self.length) {
                    return Err(truncated());
                }
                MemberKind::File { offset, size: entry.size }
            }
            EntryKind::HardLink => MemberKind::HardLink(entry.link),
            EntryKind::Symlink => MemberKind::Symlink(entry.link),
            _ => MemberKind::Other,
        };
        Ok(Some(Member { path: entry.path, kind }))
    }

    /// Past the data of the entry at hand, without reading it.
    fn seek_on(&mut self) -> Result<()> {
        for rest in [std::mem::take(&mut self.archive.left), std::mem::take(&mut self.archive.padding)] {
            let step = i64::try_from(rest).map_err(|_| truncated())?;
            self.archive.input.seek_relative(step).map_err(reading)?;
        }
        let at = self.archive.input.stream_position().map_err(reading)?;
        if at > self.length { Err(truncated()) } else { Ok(()) }
    }
}

impl Iterator for Members<'_> {
    type Item = Result<Member>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let member = self.member().transpose();
        self.failed = !matches!(member, Some(Ok(_)));
        member
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn read(parts: &[&[u8]], length: Option<u64>) -> Result<Vec<Member>> {
        let mut file = tempfile::tempfile().unwrap();
        parts.iter().for_each(|part| file.write_all(part).unwrap());
        if let Some(length) = length {
            file.set_len(length).unwrap();
        }
        Members::of(&file, &Limits::default())?.collect()
    }

    fn header(kind: u8, name: &str, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        header
    }

    #[test]
    fn files_lie_where_it_is_said() {
        let (one, two) = (header(b'0', "one", 3), header(b'0', "two", 600));
        let found = read(&[one.as_bytes(), b"abc", &[0; 509], two.as_bytes(), &[1; 600], &[0; 424 + 1024]], None);
        let file = |path: &[u8], offset, size| Member { path: path.into(), kind: MemberKind::File { offset, size } };
        assert_eq!(found.unwrap(), [file(b"one", 512, 3), file(b"two", 1536, 600)]);
    }

    #[test]
    fn extended_headers_are_not_read_into_memory_whatever_their_size() {
        for kind in [b'x', b'L', b'K', b'g'] {
            let large = header(kind, "large", 4096 * MIB);
            // All of it is there, as a hole.
            let error = read(&[large.as_bytes()], Some(4097 * MIB)).unwrap_err();
            assert_eq!(error.kind(), Kind::Exhausted, "{}: {error}", char::from(kind));
            assert!(error.to_string().contains("extended headers above 1048576 bytes"), "{error}");
        }
    }

    #[test]
    fn a_file_that_goes_on_behind_the_end_is_refused() {
        for size in [1, 513, 1 << 40, 0o777_777_777_777] {
            let file = header(b'0', "file", size);
            let error = read(&[file.as_bytes()], None).unwrap_err();
            assert!(error.to_string().contains("ends in the middle of an entry"), "{size}: {error}");
        }
        let padding = header(b'0', "file", 1);
        assert_eq!(read(&[padding.as_bytes(), b"a"], None).unwrap_err().kind(), Kind::InvalidArgument);
    }
}
