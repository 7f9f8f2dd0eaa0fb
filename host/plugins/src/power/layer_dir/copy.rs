use std::{
    collections::HashMap,
    ffi::{CStr, CString, OsStr},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::PathBuf,
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
        copy_file_range, ftruncate, ioctl_ficlone, lgetxattr, linkat, llistxattr, lsetxattr, mkdirat, mknodat, openat,
        readlinkat, seek, symlinkat, utimensat,
    },
    io::{Errno, pread, pwrite},
};

use super::{
    LayerDir, io_fault,
    measure::Sum,
    walk::{Visitor, walk},
};
use crate::{
    Place, Usage,
    bindings::wharf::host::types::Code,
    contract::{Fault, fault},
    state::Until,
};

/// What is copied between two looks at the clock.
const CHUNK: usize = 16 << 20;

// === impl LayerDir ===

impl LayerDir {
    pub(super) fn copy_tree(&self, source: &Place, target: &Place, until: &Until) -> Result<Usage, Fault> {
        let found = self.find(source)?;
        let at = |error: io::Error| io_fault(&format!("copy {source} to {target}"), &error);
        if target.layer() == source.layer() && below(target.path(), source.path()) {
            return Err(fault(Code::InvalidArgument, format!("copy {source} to {target}: into itself")));
        }
        let (from, old) = self.above(source).map_err(at)?;
        let (to, new) = self.above(target).map_err(at)?;
        let (old, new) = (name(&old)?, name(&new)?);
        let mut copy = Copy { until, targets: Vec::new(), links: HashMap::new(), over: None };
        let done = copy.item(from.as_fd(), &old, &to, &new, &found.stat);
        copy.outcome(done, at)?;
        if FileType::from_raw_mode(found.stat.st_mode) == FileType::Directory {
            let root = self.directory(source)?;
            if let Err(fault) = walk(&root, until, &mut copy) {
                return Err(copy.over.take().unwrap_or(fault));
            }
            let done = copy.leave();
            copy.outcome(done, at)?;
        }
        let mut sum = Sum::default();
        let made = self.find(target)?;
        sum.add(&made.stat);
        if FileType::from_raw_mode(made.stat.st_mode) == FileType::Directory {
            walk(&self.directory(target)?, until, &mut sum)?;
        }
        Ok(sum.usage)
    }
}

/// A copy under way.
struct Copy<'a> {
    until: &'a Until,
    /// The directories that are being filled, outermost first.
    targets: Vec<Target>,
    /// Where the first name of a file with several was copied to, below the outermost target.
    links: HashMap<u64, PathBuf>,
    /// Why a copy that takes long was given up.
    over: Option<Fault>,
}

struct Target {
    /// The directory that it is in, and its name there.
    above: OwnedFd,
    name: CString,
    dir: OwnedFd,
    /// Of the source: its times are set when nothing is written into it any more.
    stat: Stat,
}

// === impl Copy ===

impl Copy<'_> {
    fn item(&mut self, from: BorrowedFd<'_>, old: &CStr, to: &OwnedFd, new: &CStr, stat: &Stat) -> io::Result<()> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            return self.enter(from, old, to, new, stat);
        }
        if stat.st_nlink > 1 && !self.targets.is_empty() {
            let path = self.path(new);
            if let Some(first) = self.links.get(&stat.st_ino) {
                return Ok(linkat(&self.targets[0].dir, first, to, new, AtFlags::empty())?);
            }
            self.links.insert(stat.st_ino, path);
        }
        match kind {
            FileType::RegularFile => self.data(from, old, to, new, stat)?,
            FileType::Symlink => symlinkat(readlinkat(from, old, Vec::new())?, to, new)?,
            kind => mknodat(to, new, kind, Mode::RUSR, stat.st_rdev)?,
        }
        owner_and_mode(to, new, stat)?;
        xattrs(from, old, to, new)?;
        times(to, new, stat)
    }

    fn enter(&mut self, from: BorrowedFd<'_>, old: &CStr, to: &OwnedFd, new: &CStr, stat: &Stat) -> io::Result<()> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        match mkdirat(to, new, Mode::RWXU) {
            Ok(()) => {}
            // The plugin may have made the target's own directory; nothing may be in it.
            Err(Errno::EXIST) if self.targets.is_empty() => {
                let there = openat(to, new, flags, Mode::empty())?;
                let mut entries = rustix::fs::Dir::read_from(&there)?;
                if entries.any(|entry| entry.is_ok_and(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".."))) {
                    return Err(Errno::EXIST.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
        owner_and_mode(to, new, stat)?;
        xattrs(from, old, to, new)?;
        let dir = openat(to, new, flags, Mode::empty())?;
        self.targets.push(Target { above: to.try_clone()?, name: new.to_owned(), dir, stat: *stat });
        Ok(())
    }

    /// By reflink where the file system can, else the parts that are no holes.
    fn data(&mut self, from: BorrowedFd<'_>, old: &CStr, to: &OwnedFd, new: &CStr, stat: &Stat) -> io::Result<()> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = openat(from, old, flags | OFlags::RDONLY, Mode::empty())?;
        let made = openat(to, new, flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)?;
        if ioctl_ficlone(&made, &source).is_ok() {
            return Ok(());
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut position = 0;
        while position < size {
            let data = match seek(&source, SeekFrom::Data(position)) {
                Ok(data) => data,
                Err(Errno::NXIO) => break,
                Err(error) => return Err(error.into()),
            };
            let hole = seek(&source, SeekFrom::Hole(data))?.min(size);
            position = data;
            while position < hole {
                if let Err(fault) = self.until.check() {
                    self.over = Some(fault);
                    return Err(io::ErrorKind::TimedOut.into());
                }
                let most = usize::try_from(hole - position).unwrap_or(CHUNK).min(CHUNK);
                match piece(&source, &made, position, most)? {
                    // Became shorter meanwhile.
                    0 => return Ok(ftruncate(&made, position)?),
                    copied => position += copied as u64,
                }
            }
        }
        Ok(ftruncate(&made, size)?)
    }

    /// Below the outermost target.
    fn path(&self, name: &CStr) -> PathBuf {
        let above = self.targets.iter().skip(1).map(|target| target.name.as_c_str());
        above.chain([name]).map(|name| OsStr::from_bytes(name.to_bytes())).collect()
    }

    fn outcome(&mut self, done: io::Result<()>, at: impl Fn(io::Error) -> Fault) -> Result<(), Fault> {
        done.map_err(|error| self.over.take().unwrap_or_else(|| at(error)))
    }
}

impl Visitor for Copy<'_> {
    fn visit(&mut self, dir: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
        let to = match self.targets.last() {
            Some(target) => target.dir.try_clone()?,
            None => return Err(Errno::BADF.into()),
        };
        self.item(dir, name, &to, name, stat)
    }

    fn leave(&mut self) -> io::Result<()> {
        self.targets.pop().map_or(Ok(()), |target| times(&target.above, &target.name, &target.stat))
    }
}

/// In the kernel if it can.
fn piece(source: &OwnedFd, made: &OwnedFd, at: u64, most: usize) -> io::Result<usize> {
    let (mut from, mut to) = (at, at);
    match copy_file_range(source, Some(&mut from), made, Some(&mut to), most) {
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        copied => return Ok(copied?),
    }
    let mut buffer = vec![0; most.min(1 << 20)];
    let read = pread(source, &mut buffer, at)?;
    let mut written = 0;
    while written < read {
        written += pwrite(made, &buffer[written..read], at + written as u64)?;
    }
    Ok(read)
}

fn owner_and_mode(dir: &OwnedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        // Made by us a moment ago and no link, so it is not followed.
        chmodat(dir, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    Ok(())
}

/// All of them, as they are: the copy stands in the plugin's own folder.
fn xattrs(from: BorrowedFd<'_>, old: &CStr, to: &OwnedFd, new: &CStr) -> io::Result<()> {
    let path = |dir: BorrowedFd<'_>, name: &CStr| {
        let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        CString::new(path)
    };
    let (from, to) = (path(from, old)?, path(to.as_fd(), new)?);
    let mut names = vec![0; 64 << 10];
    let length = match llistxattr(&from, &mut names) {
        Err(Errno::OPNOTSUPP) | Ok(0) => return Ok(()),
        length => length?,
    };
    for attribute in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let length = lgetxattr(&from, attribute, &mut value)?;
        lsetxattr(&to, attribute, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

fn times(dir: &OwnedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: i64::try_from(nanoseconds).unwrap_or(0) };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    Ok(utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn below(path: &str, above: &str) -> bool {
    above.is_empty() || path == above || path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

fn name(name: &str) -> Result<CString, Fault> {
    CString::new(name).map_err(|error| fault(Code::InvalidArgument, error.to_string()))
}
