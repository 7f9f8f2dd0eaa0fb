use std::{ffi::CString, os::fd::BorrowedFd};

use rustix::{
    fd::AsRawFd as _,
    fs::{AtFlags, Gid, Mode, Stat, Timespec, Timestamps, UTIME_NOW, Uid, XattrFlags},
    io::Errno,
};
use wharf_error::{Error, Kind, Result};

use super::At as _;
use crate::archive::{Entry, Time, printable};

/// Names and values.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Owner, mode, time and extended attributes of an inode.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    mode: u32,
    uid: u32,
    gid: u32,
    /// The time of the call that applies it, when absent.
    mtime: Option<Time>,
    xattrs: Xattrs,
}

// === impl Metadata ===

impl Metadata {
    /// What the archive says. Attributes that steer the overlay, or that only the node's own root may have, are
    /// dropped; `limit` bounds the rest.
    pub(crate) fn of_entry(entry: &mut Entry, limit: usize) -> Result<Self> {
        let mut xattrs = std::mem::take(&mut entry.xattrs);
        xattrs.retain(|(name, _)| !is_reserved(name));
        let bytes: usize = xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > limit {
            let what = format!("{bytes} bytes of extended attributes, {limit} are allowed");
            return Err(Error::new(Kind::Exhausted, what));
        }
        let Entry { mode, uid, gid, mtime, .. } = *entry;
        Ok(Self { mode, uid, gid, mtime: Some(mtime), xattrs })
    }

    /// What an inode of a layer below has.
    pub(crate) fn of_inode(fd: BorrowedFd<'_>, stat: &Stat) -> Result<Self, Errno> {
        let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
        let mtime = Some(Time { seconds: stat.st_mtime, nanos });
        let mode = stat.st_mode & 0o7777;
        Ok(Self { mode, uid: stat.st_uid, gid: stat.st_gid, mtime, xattrs: read_xattrs(fd)? })
    }

    /// Root's, 0755, the time now: a directory that nobody describes.
    pub(super) fn plain_directory() -> Self {
        Self { mode: 0o755, ..Self::default() }
    }

    pub(super) fn xattr_bytes(&self) -> usize {
        self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Gives it to an open file or directory. `root_owned`: the inode is known to be root's already.
    pub(crate) fn apply(&self, fd: BorrowedFd<'_>, root_owned: bool, path: &[u8]) -> Result<()> {
        if !root_owned || self.uid != 0 || self.gid != 0 {
            rustix::fs::fchown(fd, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
                .at("change the owner of", path)?;
        }
        // After the owner: changing that clears setuid and capabilities.
        rustix::fs::fchmod(fd, Mode::from_raw_mode(self.mode)).at("change the mode of", path)?;
        for (name, value) in &self.xattrs {
            set_xattr(name, path, |name| rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()))?;
        }
        rustix::fs::futimens(fd, &self.times()).at("set the time of", path)
    }

    /// Gives it to a name in a directory that is a symbolic link, a device or a FIFO: such are never opened.
    pub(super) fn apply_to_name(&self, parent: BorrowedFd<'_>, name: &[u8], link: bool, path: &[u8]) -> Result<()> {
        let owner = (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)));
        rustix::fs::chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
            .at("change the owner of", path)?;
        if !link {
            let mode = Mode::from_raw_mode(self.mode);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty()).at("change the mode of", path)?;
        }
        if !self.xattrs.is_empty() {
            let full = [format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(), name].concat();
            for (name, value) in &self.xattrs {
                set_xattr(name, path, |name| rustix::fs::lsetxattr(&full, name, value, XattrFlags::empty()))?;
            }
        }
        rustix::fs::utimensat(parent, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW).at("set the time of", path)
    }

    fn times(&self) -> Timestamps {
        let time = match self.mtime {
            Some(Time { seconds, nanos }) => Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) },
            None => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        // The time of access goes along: when the layer was written is nobody's business.
        Timestamps { last_access: time, last_modification: time }
    }
}

/// `trusted.*` belongs to the node, and the overlay's own attributes would let a layer reach elsewhere.
fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(b"trusted.") || name.starts_with(b"user.overlay.")
}

/// What the file system does not have, or not for this sort of inode, is left out, as elsewhere.
fn set_xattr(name: &[u8], path: &[u8], set: impl FnOnce(&CString) -> Result<(), Errno>) -> Result<()> {
    let Ok(c_name) = CString::new(name) else {
        return Err(Error::invalid("NUL in the name of an extended attribute"));
    };
    let wrong = |errno: Errno| {
        let what = format!("set attribute {} of {}", printable(name), printable(path));
        Err(Error::invalid(what).because(std::io::Error::from(errno)))
    };
    match set(&c_name) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP) => {
            tracing::debug!(attribute = printable(name), path = printable(path), "layer: attribute not supported here");
            Ok(())
        }
        // Only files and directories can have these.
        Err(Errno::PERM) if name.starts_with(b"user.") => Ok(()),
        Err(errno @ (Errno::INVAL | Errno::RANGE | Errno::TOOBIG)) => wrong(errno),
        other => other.at("set an attribute of", path),
    }
}

fn read_xattrs(fd: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    let inode = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut names = vec![0; 64 << 10];
    let used = match rustix::fs::listxattr(&inode, &mut names) {
        Ok(used) => used,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno),
    };
    let mut xattrs = Vec::new();
    for name in names[..used].split(|byte| *byte == 0).filter(|name| !name.is_empty() && !is_reserved(name)) {
        let mut value = vec![0; 64 << 10];
        let used = rustix::fs::getxattr(&inode, name, &mut value)?;
        value.truncate(used);
        xattrs.push((name.to_vec(), value));
    }
    Ok(xattrs)
}
