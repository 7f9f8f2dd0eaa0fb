//! The steps that change the container's mounts.

use std::ffi::CStr;

use super::{
    FileSystem, Holder,
    interpret::{Child, become_terminal},
    paths::{Held, INSIDE, ensure, open},
    report::{Failure, Tag, Words, send},
};
use crate::{
    TerminalSize,
    sys::{self, Attributes, Errno, RawFd, Sys},
};

const PROC_MAGIC: i64 = 0x9fa0;
const DEVPTS_MAGIC: i64 = 0x1cd1;
const READONLY: Attributes = Attributes { set: sys::READ_ONLY as u64, clear: 0, propagation: 0, user_namespace: 0 };

pub(super) fn slave_mounts() -> Sys<()> {
    sys::mount_legacy(c"", c"/", c"", libc::MS_SLAVE | libc::MS_REC, c"")
}

pub(super) fn attach(root: RawFd, tree: RawFd, at: &[u8], holder: Holder) -> Result<(), Failure> {
    let target = ensure(root, at, holder)?;
    Ok(sys::attach(tree, target.0)?)
}

pub(super) fn mount(root: RawFd, system: &FileSystem) -> Result<(), Failure> {
    let made = make(system)?;
    if let Some(attributes) = &system.then {
        sys::set_attributes(made.0, false, attributes)?;
    }
    attach(root, made.0, &system.at, system.holder)
}

fn make(system: &FileSystem) -> Result<Held, Failure> {
    let context = sys::open_file_system(&system.kind)?;
    let explain = |errno| Failure { errno, value: 0, words: Words::Context(context) };
    for (key, value) in &system.options {
        match value {
            Some(value) => sys::configure_string(context, key, value),
            None => sys::configure_flag(context, key),
        }
        .map_err(explain)?;
    }
    sys::create_superblock(context).map_err(explain)?;
    let mount = sys::new_mount(context, system.attributes).map_err(explain)?;
    sys::close(context);
    Ok(Held(mount))
}

pub(super) fn make_readonly(root: RawFd, at: &[u8]) -> Result<(), Failure> {
    let mount = ensure(root, at, Holder::Directory)?;
    Ok(sys::set_attributes(mount.0, false, &READONLY)?)
}

pub(super) fn readonly_root(root: RawFd) -> Sys<()> {
    sys::set_attributes(root, false, &READONLY)
}

pub(super) fn root_propagation(propagation: u64, recursive: bool) -> Sys<()> {
    let root = Held(sys::open_in(libc::AT_FDCWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?);
    sys::set_attributes(root.0, recursive, &Attributes { propagation, ..Attributes::default() })
}

impl Child {
    /// Hides a path. The null device is the host's, opened by us and looked at: nothing of the image's is trusted.
    pub(super) fn mask(&mut self, at: &CStr, in_proc: bool) -> Result<(), Failure> {
        let Some(target) = self.hidden(at, in_proc)? else { return Ok(()) };
        let cover = if sys::stat(target.0)?.is_directory() {
            if self.empty < 0 {
                let context = Held(sys::open_file_system(c"tmpfs")?);
                sys::configure_string(context.0, c"nr_inodes", c"1")?;
                sys::create_superblock(context.0)?;
                self.empty = sys::new_mount(context.0, sys::READ_ONLY)?;
                return Ok(sys::attach(self.empty, target.0)?);
            }
            sys::clone_tree(self.empty, c"", false)?
        } else {
            if self.null < 0 {
                self.null = sys::open_in(libc::AT_FDCWD, c"/dev/null", libc::O_PATH | libc::O_NOFOLLOW, 0)?;
            }
            if !sys::stat(self.null)?.is_null() {
                return Err(Failure::new(libc::ENODEV, "/dev/null of the host is no null device"));
            }
            sys::clone_tree(self.null, c"", false)?
        };
        let cover = Held(cover);
        Ok(sys::attach(cover.0, target.0)?)
    }

    /// Puts a read-only copy of a path over it.
    pub(super) fn readonly(&mut self, at: &CStr, in_proc: bool) -> Result<(), Failure> {
        let Some(target) = self.hidden(at, in_proc)? else { return Ok(()) };
        let cover = Held(sys::clone_tree(target.0, c"", true)?);
        sys::set_attributes(cover.0, false, &READONLY)?;
        Ok(sys::attach(cover.0, target.0)?)
    }

    /// What is at a path that is to be hidden; `None` when nothing is. What should be procfs must be.
    fn hidden(&self, at: &CStr, in_proc: bool) -> Result<Option<Held>, Failure> {
        let target = match open(self.root, at) {
            Ok(target) => target,
            Err(Errno(libc::ENOENT | libc::ENOTDIR)) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        if in_proc && sys::file_system(target.0)?.magic != PROC_MAGIC {
            return Err(Failure::new(libc::EXDEV, "is not on procfs"));
        }
        Ok(Some(target))
    }

    /// Writes a kernel setting through a procfs of our own, which nobody can have put something in the way of.
    pub(super) fn sysctl(&mut self, path: &CStr, value: &[u8], owner: Option<u32>) -> Result<(), Failure> {
        if self.proc < 0 {
            let context = Held(sys::open_file_system(c"proc")?);
            sys::create_superblock(context.0)?;
            self.proc = sys::new_mount(context.0, 0)?;
        }
        let resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
        let proc = self.proc;
        let write = || {
            let file = Held(sys::open_in(proc, path, libc::O_WRONLY, resolve)?);
            sys::write(file.0, value).map(drop)
        };
        Ok(owner.map_or_else(write, |uid| self.as_user(uid, write))?)
    }

    /// Opens a terminal of the container's devpts, by fds from first to last.
    pub(super) fn terminal(&mut self, size: Option<TerminalSize>, uid: u32, to: Option<RawFd>) -> Result<(), Failure> {
        let door = open(self.root, c"dev/pts/ptmx")?;
        let what = sys::stat(door.0)?;
        if sys::file_system(door.0)?.magic != DEVPTS_MAGIC || what.device != (5, 2) {
            return Err(Failure::new(libc::ENODEV, "/dev/pts is no devpts"));
        }
        let master = Held(reopen(door.0, libc::O_RDWR | libc::O_NOCTTY)?);
        sys::unlock(master.0)?;
        if let Some(size) = size {
            sys::resize(master.0, size.rows, size.columns)?;
        }
        let peer = Held(sys::open_peer(master.0)?);
        sys::give(peer.0, uid)?;
        let console = ensure(self.root, b"dev/console", Holder::File)?;
        let cover = Held(sys::clone_tree(peer.0, c"", false)?);
        sys::attach(cover.0, console.0)?;
        match to {
            Some(socket) => sys::send(socket, b"t", Some(peer.0))?,
            None => become_terminal(peer.0)?,
        }
        send(self.channel, Tag::Terminal, self.step, Errno(0).into(), Some(master.0));
        Ok(())
    }
}

/// Opens what an fd for a path only stands for. The host's procfs is still there.
fn reopen(fd: RawFd, flags: i32) -> Sys<RawFd> {
    let mut name = [0_u8; 12];
    let mut rest = fd.unsigned_abs();
    let mut first = 0;
    for (i, byte) in name.iter_mut().enumerate().rev().skip(1) {
        *byte = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        first = i;
        if rest == 0 {
            break;
        }
    }
    let name = name.get(first..).and_then(|name| CStr::from_bytes_until_nul(name).ok()).ok_or(Errno(libc::EBADF))?;
    let directory = Held(sys::open_in(libc::AT_FDCWD, c"/proc/self/fd", libc::O_PATH | libc::O_DIRECTORY, 0)?);
    sys::open_in(directory.0, name, flags, 0)
}

/// The working directory, without a way out of the root.
pub(super) fn enter_directory(path: &CStr) -> Result<(), Failure> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let directory = Held(sys::open_in(libc::AT_FDCWD, path, flags, INSIDE)?);
    sys::enter(directory.0)?;
    let mut name = [0_u8; 4096];
    let length = sys::working_directory(&mut name)?;
    if length == 0 || name.first() != Some(&b'/') {
        return Err(Failure::new(libc::EXDEV, "it is not inside the root"));
    }
    Ok(())
}
