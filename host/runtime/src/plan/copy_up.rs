//! `tmpcopyup`: a tmpfs that begins with what the image has in its place.

use std::{
    ffi::CStr,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags, chownat, fchmod, fchown, fgetxattr,
        flistxattr, fsetxattr, fstat, mkdirat, mknodat, openat, readlinkat, statat, symlinkat,
    },
    io::Errno,
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::c_string;
use crate::{child::FileSystem, sys};

/// Folders below folders.
const DEEPEST: u32 = 64;

/// The tmpfs with a copy of what the root has at `at`, as a detached mount; `None` where there is nothing. What is larger
/// than the tmpfs is an error.
pub(super) fn copy_up(root: BorrowedFd<'_>, at: &Path, system: &FileSystem) -> Result<Option<OwnedFd>> {
    let resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let opened = sys::open_in(root.as_raw_fd(), &c_string("path", at)?, libc::O_RDONLY | libc::O_DIRECTORY, resolve);
    let source = match opened {
        // SAFETY: the kernel has just made this descriptor for us alone.
        Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd) },
        Err(sys::Errno(libc::ENOENT | libc::ENOTDIR)) => return Ok(None),
        Err(errno) => return Err(io::Error::from(errno)).step(|| "open what is to be copied".into()),
    };
    let target = mount(system).map_err(io::Error::from).step(|| "make the tmpfs".into())?;
    let copied = openat(&target, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let copied = copied.and_then(|target| {
        copy(&source, &target, 0)?;
        let stat = fstat(&source)?;
        let set = |key: &CStr| system.options.iter().any(|(option, _)| option.as_c_str() == key);
        let uid = (!set(c"uid")).then(|| Uid::from_raw(stat.st_uid));
        let gid = (!set(c"gid")).then(|| Gid::from_raw(stat.st_gid));
        fchown(&target, uid, gid)?;
        if set(c"mode") { Ok(()) } else { fchmod(&target, Mode::from_raw_mode(stat.st_mode)) }
    });
    match copied {
        Ok(()) => Ok(Some(target)),
        Err(Errno::NOSPC) => {
            Err(Error::new(Kind::Exhausted, "copy what the image has there: it is larger than the tmpfs")
                .hint("give the mount a larger size"))
        }
        Err(errno) => Err(io::Error::from(errno)).step(|| "copy what the image has there".into()),
    }
}

fn mount(system: &FileSystem) -> sys::Sys<OwnedFd> {
    let owned = |fd| {
        // SAFETY: the kernel has just made this descriptor for us alone.
        unsafe { OwnedFd::from_raw_fd(fd) }
    };
    let context = owned(sys::open_file_system(&system.kind)?);
    for (key, value) in &system.options {
        match value {
            Some(value) => sys::configure_string(context.as_raw_fd(), key, value)?,
            None => sys::configure_flag(context.as_raw_fd(), key)?,
        }
    }
    sys::create_superblock(context.as_raw_fd())?;
    let mount = owned(sys::new_mount(context.as_raw_fd(), system.attributes)?);
    if let Some(attributes) = &system.then {
        sys::set_attributes(mount.as_raw_fd(), false, attributes)?;
    }
    Ok(mount)
}

/// By fds from folder to folder: nothing in the image leads anywhere else.
fn copy(source: &impl AsFd, target: &impl AsFd, depth: u32) -> std::result::Result<(), Errno> {
    if depth > DEEPEST {
        return Err(Errno::LOOP);
    }
    for entry in Dir::read_from(source)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let open =
            |at: BorrowedFd<'_>, flags| openat(at, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                mkdirat(target, name, Mode::RWXU)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let (from, to) = (open(source.as_fd(), flags)?, open(target.as_fd(), flags)?);
                copy(&from, &to, depth + 1)?;
                look_alike(&from, &to, &stat)?;
            }
            FileType::RegularFile => {
                let to = openat(
                    target,
                    name,
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
                    Mode::RUSR | Mode::WUSR,
                )?;
                let (mut from, mut to) = (File::from(open(source.as_fd(), OFlags::RDONLY)?), File::from(to));
                io::copy(&mut from, &mut to).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
                look_alike(&from, &to, &stat)?;
            }
            FileType::Symlink => {
                symlinkat(readlinkat(source, name, Vec::new())?.as_c_str(), target, name)?;
                own(target, name, &stat)?;
            }
            kind => {
                mknodat(target, name, kind, mode, stat.st_rdev)?;
                own(target, name, &stat)?;
            }
        }
    }
    Ok(())
}

fn own(folder: &impl AsFd, name: &CStr, stat: &Stat) -> std::result::Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

/// Owner, then mode, for a new owner clears setuid; then what tmpfs keeps of the extended attributes.
fn look_alike(from: &impl AsFd, to: &impl AsFd, stat: &Stat) -> std::result::Result<(), Errno> {
    fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    let mut names = vec![0_u8; 64 << 10];
    let length = match flistxattr(from, &mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let mut value = vec![0_u8; 64 << 10];
    for name in names.get(..length).unwrap_or_default().split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let length = fgetxattr(from, name, &mut value)?;
        match fsetxattr(to, name, value.get(..length).unwrap_or_default(), XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
