//! Paths inside the container's root: never out of it, whatever its symlinks say.

use std::ffi::CStr;

use super::{Holder, report::Failure};
use crate::sys::{self, Errno, RawFd, Sys};

const LONGEST: usize = 4096;
const MOST_LINKS: u32 = 40;

/// Symlinks lead where they would inside; `/proc/…/fd/N` and its like lead nowhere.
pub(super) const INSIDE: u64 = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;

/// An open directory or file that is closed at the end of its scope. (`OwnedFd` may complain on a closed number, by
/// means that a child must not use.)
#[derive(Debug)]
pub(super) struct Held(pub(super) RawFd);

impl Drop for Held {
    fn drop(&mut self) {
        sys::close(self.0);
    }
}

/// A path on the stack, that always ends with NUL.
#[derive(Clone)]
struct Path {
    bytes: [u8; LONGEST],
    length: usize,
}

/// Opens what is at a path.
pub(super) fn open(root: RawFd, path: &CStr) -> Sys<Held> {
    sys::open_in(root, path, libc::O_PATH, INSIDE).map(Held)
}

/// Opens what is at a path, after making it and the directories above it where they are missing. A symlink that leads
/// to nothing is followed, inside, and what it names is made.
pub(super) fn ensure(root: RawFd, path: &[u8], holder: Holder) -> Result<Held, Failure> {
    let plain = holder == Holder::PlainDirectory;
    let resolve = if plain { INSIDE | libc::RESOLVE_NO_SYMLINKS } else { INSIDE };
    let mut path = Path::new(&[path])?;
    for _ in 0..MOST_LINKS {
        match sys::open_in(root, path.whole(), libc::O_PATH, resolve) {
            Ok(fd) => return Ok(Held(fd)),
            Err(Errno(libc::ENOENT)) => {}
            Err(Errno(libc::ELOOP)) if plain => {
                return Err(Failure::new(libc::ELOOP, "must be mounted on ordinary directory, not by a symbolic link"));
            }
            Err(errno) => return Err(errno.into()),
        }
        if let Some(made) = make_missing(root, &mut path, holder, resolve)? {
            return Ok(made);
        }
    }
    Err(Errno(libc::ELOOP).into())
}

/// Makes what is missing of a path. `None`: a dangling link was met, the path now leads around it.
fn make_missing(root: RawFd, path: &mut Path, holder: Holder, resolve: u64) -> Sys<Option<Held>> {
    let mut parent: Option<Held> = None;
    let mut next = path.component(0);
    while let Some((start, end)) = next {
        next = path.component(end);
        let at = parent.as_ref().map_or(root, |held| held.0);
        match path.with_prefix(end, |prefix| sys::open_in(root, prefix, libc::O_PATH, resolve)) {
            Ok(fd) => {
                parent = Some(Held(fd));
                continue;
            }
            Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(errno),
        }
        let mut link = [0_u8; LONGEST];
        match path.with_component(start, end, |name| sys::read_link(at, name, &mut link)) {
            Ok(length) => {
                let target = link.get(..length).ok_or(Errno(libc::ENAMETOOLONG))?;
                let before: &[u8] = if target.first() == Some(&b'/') { b"" } else { path.slice(0, start) };
                *path = Path::new(&[before, target, path.slice(end, path.length)])?;
                return Ok(None);
            }
            Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(errno),
        }
        let last = next.is_none();
        let made = path.with_component(start, end, |name| {
            let made = if last && holder == Holder::File {
                sys::make_node(at, name, libc::S_IFREG | 0o644, (0, 0))
            } else {
                sys::make_directory(at, name, 0o755)
            };
            match made {
                // Made by someone else in between: what is there is used, if it is no symlink.
                Ok(()) | Err(Errno(libc::EEXIST)) => {}
                Err(errno) => return Err(errno),
            }
            sys::open_in(
                at,
                name,
                libc::O_PATH | libc::O_NOFOLLOW,
                libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS,
            )
        })?;
        parent = Some(Held(made));
    }
    parent.map(Some).ok_or(Errno(libc::ENOENT))
}

// === impl Path ===

impl Path {
    fn new(parts: &[&[u8]]) -> Sys<Self> {
        let mut path = Self { bytes: [0; LONGEST], length: 0 };
        for byte in parts.iter().copied().flatten() {
            *path.bytes.get_mut(path.length).ok_or(Errno(libc::ENAMETOOLONG))? = *byte;
            path.length += 1;
        }
        if path.length >= LONGEST {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        Ok(path)
    }

    fn whole(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    fn slice(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or(&[])
    }

    /// The next component from an offset: where it starts and ends.
    fn component(&self, from: usize) -> Option<(usize, usize)> {
        let rest = self.slice(from, self.length);
        let start = from + rest.iter().position(|byte| *byte != b'/')?;
        let rest = self.slice(start, self.length);
        Some((start, start + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())))
    }

    /// Calls with the path up to an offset.
    fn with_prefix<T>(&mut self, end: usize, f: impl FnOnce(&CStr) -> Sys<T>) -> Sys<T> {
        self.with_component(0, end, f)
    }

    /// Calls with a part of the path, ended by a NUL for as long.
    fn with_component<T>(&mut self, start: usize, end: usize, f: impl FnOnce(&CStr) -> Sys<T>) -> Sys<T> {
        let byte = self.bytes.get_mut(end).ok_or(Errno(libc::ENAMETOOLONG))?;
        let kept = std::mem::replace(byte, 0);
        let part = self.bytes.get(start..).and_then(|rest| CStr::from_bytes_until_nul(rest).ok());
        let result = part.map_or(Err(Errno(libc::EINVAL)), f);
        if let Some(byte) = self.bytes.get_mut(end) {
            *byte = kept;
        }
        result
    }
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
