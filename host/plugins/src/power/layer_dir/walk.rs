use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};

use super::io_fault;
use crate::{
    bindings::wharf::host::types::Code,
    contract::{Fault, fault},
    state::Until,
};

/// How deep a tree may be: each level holds a descriptor. Images have a tenth of it; what a container may have made
/// deeper is refused, not followed.
const DEEPEST: usize = 256;

/// What a walk does with what it meets, in the tree's order.
pub(super) trait Visitor {
    /// Something in a directory. For a directory its content follows, then [`leave`](Self::leave).
    fn visit(&mut self, dir: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()>;

    /// The end of a directory that was visited.
    fn leave(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Walks what is below a directory, without following links or leaving its file system.
pub(super) fn walk(root: &OwnedFd, until: &Until, visitor: &mut impl Visitor) -> Result<(), Fault> {
    let at = |error: io::Error| io_fault("walk the tree", &error);
    let device = fstat(root).map_err(|error| at(error.into()))?.st_dev;
    let mut open = vec![level(root.as_fd()).map_err(at)?];
    while let Some((dir, names)) = open.last_mut() {
        until.check()?;
        let Some(name) = names.pop() else {
            open.pop();
            if !open.is_empty() {
                visitor.leave().map_err(at)?;
            }
            continue;
        };
        let stat = match statat(&*dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            // A running container changes its tree while it is measured.
            Err(rustix::io::Errno::NOENT) => continue,
            stat => stat.map_err(|error| at(error.into()))?,
        };
        if stat.st_dev != device {
            continue;
        }
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let below = if is_dir { open_below(dir.as_fd(), &name).map_err(at)? } else { None };
        if is_dir && below.is_none() {
            continue;
        }
        visitor.visit(dir.as_fd(), &name, &stat).map_err(|error| {
            let step = format!("{}", name.to_string_lossy());
            io_fault(&crate::contract::tame(&step), &error)
        })?;
        if let Some(below) = below {
            if open.len() >= DEEPEST {
                return Err(fault(Code::Exhausted, format!("a tree deeper than {DEEPEST} directories")));
            }
            open.push(below);
        }
    }
    Ok(())
}

type Level = (OwnedFd, Vec<CString>);

/// None: gone or replaced meanwhile.
fn open_below(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Level>> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    match openat(dir, name, flags, Mode::empty()) {
        Ok(below) => level(below.as_fd()).map(Some),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn level(dir: BorrowedFd<'_>) -> io::Result<Level> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
    }
    Ok((dir.try_clone_to_owned()?, names))
}
