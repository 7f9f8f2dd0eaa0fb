use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
};

use rustix::{
    fs::{
        AtFlags, Gid, Mode, OFlags, RenameFlags, Stat, Uid, XattrFlags, chmod, chownat, fchmod, fstat, mkdirat, openat,
    },
    io::Errno,
};

use super::{LayerDir, io_fault};
use crate::{
    Place,
    bindings::wharf::{host::types::Code, snapshotter::layer_dir::Access},
    contract::{Fault, fault},
};

/// The kernel's own limit of an attribute's value.
const LARGEST_XATTR: usize = 64 << 10;

// === impl LayerDir ===

impl LayerDir {
    pub(super) fn make(&self, at: &Place, access: Access) -> Result<(), Fault> {
        valid(at, access)?;
        let make = || -> io::Result<()> {
            let (above, name) = self.make_above(at)?;
            // Often right at once; what the umask or the mode's upper bits leave to do is done below.
            match mkdirat(&above, &name, Mode::from_raw_mode(access.mode & 0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            let dir = match openat(&above, &name, flags, Mode::empty()) {
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(Errno::EXIST.into()),
                dir => dir?,
            };
            apply(&dir, &fstat(&dir)?, access, |mode| fchmod(&dir, mode))
        };
        make().map_err(|error| io_fault(&format!("make {at}"), &error))
    }

    pub(super) fn get_access(&self, at: &Place) -> Result<Access, Fault> {
        let stat = self.find(at)?.stat;
        Ok(Access { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid })
    }

    pub(super) fn set_access(&self, at: &Place, access: Access) -> Result<(), Fault> {
        valid(at, access)?;
        let found = self.find(at)?;
        let by_name = |mode| chmod(through_proc(&found.fd), mode);
        apply(&found.fd, &found.stat, access, by_name).map_err(|error| io_fault(&format!("change {at}"), &error))
    }

    pub(super) fn get_xattr(&self, at: &Place, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let found = self.find(at)?;
        let mut value = vec![0; LARGEST_XATTR];
        match rustix::fs::getxattr(through_proc(&found.fd), name, &mut value) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA) => Ok(None),
            Err(error) => Err(io_fault(&format!("xattr {name:?} of {at}"), &error.into())),
        }
    }

    pub(super) fn set_xattr(&self, at: &Place, name: &str, value: &[u8]) -> Result<(), Fault> {
        if !["trusted.", "user."].iter().any(|space| name.strip_prefix(space).is_some_and(|rest| !rest.is_empty())) {
            return Err(fault(Code::NotGranted, format!("xattr {name:?}: only trusted. and user. ones can be set")));
        }
        let found = self.find(at)?;
        rustix::fs::setxattr(through_proc(&found.fd), name, value, XattrFlags::empty())
            .map_err(|error| io_fault(&format!("xattr {name:?} of {at}"), &error.into()))
    }

    pub(super) fn rename(&self, source: &Place, target: &Place) -> Result<(), Fault> {
        let rename = || -> io::Result<()> {
            let (from, old) = self.above(source)?;
            let (to, new) = self.above(target)?;
            rustix::fs::renameat_with(&from, &old, &to, &new, RenameFlags::NOREPLACE)?;
            Ok(())
        };
        rename().map_err(|error| io_fault(&format!("rename {source} to {target}"), &error))
    }
}

/// Owner first: a change of owner clears setuid bits. What is right already is left alone.
fn apply(
    fd: impl AsFd,
    stat: &Stat,
    access: Access,
    chmod: impl FnOnce(Mode) -> rustix::io::Result<()>,
) -> io::Result<()> {
    let owned = (stat.st_uid, stat.st_gid) == (access.uid, access.gid);
    if !owned {
        let (uid, gid) = (Uid::from_raw(access.uid), Gid::from_raw(access.gid));
        chownat(&fd, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    }
    if !owned || stat.st_mode & 0o7777 != access.mode {
        chmod(Mode::from_raw_mode(access.mode))?;
    }
    Ok(())
}

/// A descriptor that was not opened (`O_PATH`) is reached for some calls only by this name.
fn through_proc(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

fn valid(at: &Place, access: Access) -> Result<(), Fault> {
    if access.mode & !0o7777 != 0 {
        return Err(fault(Code::InvalidArgument, format!("mode {:o} of {at}: more than 12 bits", access.mode)));
    }
    // chown takes -1 for "leave it".
    if access.uid == u32::MAX || access.gid == u32::MAX {
        return Err(fault(Code::InvalidArgument, format!("owner of {at}: -1 is nobody's id")));
    }
    Ok(())
}
