use std::ffi::CStr;

use super::{Errno, RawFd, Sys, Word as _, call, descriptor};

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stat {
    /// Type and permissions.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    /// Major and minor number, of a device.
    pub(crate) device: (u32, u32),
}

impl Stat {
    /// The type bits: `libc::S_IFDIR` and so on.
    pub(crate) fn kind(self) -> u32 {
        self.mode & libc::S_IFMT
    }

    pub(crate) fn is_directory(self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// Whether it is the real null device.
    pub(crate) fn is_null(self) -> bool {
        self.kind() == libc::S_IFCHR && self.device == (1, 3)
    }
}

/// What a file system is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct StatFs {
    /// Its magic number.
    pub(crate) magic: i64,
    /// Whether the mount or the file system is read-only.
    pub(crate) readonly: bool,
}

/// openat2. `flags` get `O_CLOEXEC`. A lookup that lost a race with a rename is repeated.
pub(crate) fn open_in(directory: RawFd, path: &CStr, flags: i32, resolve: u64) -> Sys<RawFd> {
    #[repr(C)]
    struct How {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = How { flags: u64::from((flags | libc::O_CLOEXEC).cast_unsigned()), mode: 0, resolve };
    let mut tries = 0;
    loop {
        // SAFETY: the path ends with NUL and `how` has the size given; both live through the call.
        let opened = unsafe {
            call(libc::SYS_openat2, [directory.word(), path.word(), (&raw const how).word(), size_of::<How>()])
        };
        tries += 1;
        match opened {
            Err(Errno(libc::EAGAIN | libc::EINTR)) if tries < 64 => {}
            other => return other.map(descriptor),
        }
    }
}

/// close, whose errors nobody can act on.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: no memory is involved. That nobody uses the number any more is the caller's matter, as for any number.
    let _ = unsafe { call(libc::SYS_close, [fd.word()]) };
}

/// close_range: closes them all.
pub(crate) fn close_range(first: u32, last: u32) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_close_range, [first.word(), last.word(), 0]) }.map(drop)
}

/// dup3 without close-on-exec.
pub(crate) fn duplicate(from: RawFd, to: RawFd) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_dup3, [from.word(), to.word(), 0]) }.map(drop)
}

/// faccessat2: whether the caller, as it is now, may execute a file.
pub(crate) fn may_execute(path: &CStr) -> Sys<()> {
    let words = [libc::AT_FDCWD.word(), path.word(), libc::X_OK.word(), libc::AT_EACCESS.word()];
    // SAFETY: the path ends with NUL.
    unsafe { call(libc::SYS_faccessat2, words) }.map(drop)
}

/// dup3 with close-on-exec.
pub(crate) fn replace(from: RawFd, to: RawFd) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_dup3, [from.word(), to.word(), libc::O_CLOEXEC.word()]) }.map(drop)
}

/// mkdirat.
pub(crate) fn make_directory(directory: RawFd, name: &CStr, mode: u32) -> Sys<()> {
    // SAFETY: the name ends with NUL.
    unsafe { call(libc::SYS_mkdirat, [directory.word(), name.word(), mode.word()]) }.map(drop)
}

/// mknodat.
pub(crate) fn make_node(directory: RawFd, name: &CStr, mode: u32, device: (u32, u32)) -> Sys<()> {
    let number = usize::try_from(libc::makedev(device.0, device.1)).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: the name ends with NUL.
    unsafe { call(libc::SYS_mknodat, [directory.word(), name.word(), mode.word(), number]) }.map(drop)
}

/// symlinkat.
pub(crate) fn make_link(target: &CStr, directory: RawFd, name: &CStr) -> Sys<()> {
    // SAFETY: both strings end with NUL.
    unsafe { call(libc::SYS_symlinkat, [target.word(), directory.word(), name.word()]) }.map(drop)
}

/// readlinkat: how many bytes were written.
pub(crate) fn read_link(directory: RawFd, name: &CStr, into: &mut [u8]) -> Sys<usize> {
    // SAFETY: the name ends with NUL; the buffer is as long as said.
    unsafe { call(libc::SYS_readlinkat, [directory.word(), name.word(), into.as_mut_ptr().word(), into.len()]) }
}

/// fchownat, never through a symlink. `u32::MAX` leaves an id as it is.
pub(crate) fn chown_at(directory: RawFd, name: &CStr, uid: u32, gid: u32) -> Sys<()> {
    let words = [directory.word(), name.word(), uid.word(), gid.word(), libc::AT_SYMLINK_NOFOLLOW.word()];
    // SAFETY: the name ends with NUL.
    unsafe { call(libc::SYS_fchownat, words) }.map(drop)
}

/// Gives an open file to a user; its group stays.
pub(crate) fn give(fd: RawFd, uid: u32) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_fchown, [fd.word(), uid.word(), u32::MAX.word()]) }.map(drop)
}

/// What an open file is; it may be open for its path only.
pub(crate) fn stat(fd: RawFd) -> Sys<Stat> {
    statx(fd, c"", libc::AT_EMPTY_PATH)
}

/// What a path leads to.
pub(crate) fn stat_path(path: &CStr) -> Sys<Stat> {
    statx(libc::AT_FDCWD, path, 0)
}

/// The file system of an open file; it may be open for its path only.
pub(crate) fn file_system(fd: RawFd) -> Sys<StatFs> {
    /// The kernel's statfs on 64 bits.
    #[derive(Default)]
    #[repr(C)]
    struct Answer {
        magic: i64,
        block_size: i64,
        counts: [u64; 5],
        id: [i32; 2],
        name_length: i64,
        fragment_size: i64,
        flags: u64,
        spare: [i64; 4],
    }
    let mut answer = Answer::default();
    // SAFETY: the buffer is a statfs and lives through the call.
    unsafe { call(libc::SYS_fstatfs, [fd.word(), (&raw mut answer).word()]) }?;
    Ok(StatFs { magic: answer.magic, readonly: answer.flags & libc::ST_RDONLY != 0 })
}

/// Whether a path leads to anything.
pub(crate) fn exists(path: &CStr) -> bool {
    // SAFETY: the path ends with NUL.
    unsafe { call(libc::SYS_faccessat, [libc::AT_FDCWD.word(), path.word(), libc::F_OK.word()]) }.is_ok()
}

/// read, once.
pub(crate) fn read(fd: RawFd, into: &mut [u8]) -> Sys<usize> {
    loop {
        // SAFETY: the buffer is as long as said.
        match unsafe { call(libc::SYS_read, [fd.word(), into.as_mut_ptr().word(), into.len()]) } {
            Err(Errno(libc::EINTR)) => {}
            other => return other,
        }
    }
}

/// write, once: files of the kernel's take a value whole.
pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> Sys<usize> {
    loop {
        // SAFETY: the buffer is as long as said.
        match unsafe { call(libc::SYS_write, [fd.word(), bytes.as_ptr().word(), bytes.len()]) } {
            Err(Errno(libc::EINTR)) => {}
            other => return other,
        }
    }
}

/// fchdir.
pub(crate) fn enter(fd: RawFd) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_fchdir, [fd.word()]) }.map(drop)
}

/// getcwd: how many bytes were written, with the NUL.
pub(crate) fn working_directory(into: &mut [u8]) -> Sys<usize> {
    // SAFETY: the buffer is as long as said.
    unsafe { call(libc::SYS_getcwd, [into.as_mut_ptr().word(), into.len()]) }
}

/// umask.
pub(crate) fn set_umask(mask: u32) {
    // SAFETY: no memory is involved; it cannot fail.
    let _ = unsafe { call(libc::SYS_umask, [mask.word()]) };
}

fn statx(directory: RawFd, path: &CStr, flags: i32) -> Sys<Stat> {
    // SAFETY: all zeros is a value of this struct of numbers.
    let mut answer: libc::statx = unsafe { std::mem::zeroed() };
    let mask = libc::STATX_TYPE | libc::STATX_MODE | libc::STATX_UID;
    // SAFETY: the path ends with NUL; the buffer is a statx and lives through the call.
    unsafe {
        call(libc::SYS_statx, [directory.word(), path.word(), flags.word(), mask.word(), (&raw mut answer).word()])
    }?;
    Ok(Stat {
        mode: u32::from(answer.stx_mode),
        uid: answer.stx_uid,
        device: (answer.stx_rdev_major, answer.stx_rdev_minor),
    })
}
