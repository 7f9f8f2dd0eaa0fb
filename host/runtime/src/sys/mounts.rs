use std::ffi::CStr;

use super::{RawFd, Sys, Word as _, call, descriptor};

const MOVE_EMPTY_SOURCE: u32 = 0x4;
const MOVE_EMPTY_TARGET: u32 = 0x40;
const CONFIGURE_FLAG: u32 = 0;
const CONFIGURE_STRING: u32 = 1;
const CONFIGURE_FD: u32 = 5;
const CONFIGURE_CREATE: u32 = 6;

/// `MOUNT_ATTR_IDMAP`: with [`Attributes::user_namespace`].
pub(crate) const IDMAP: u64 = 0x10_0000;

/// `MOUNT_ATTR_RDONLY`, as fsmount takes it.
pub(crate) const READ_ONLY: u32 = 0x1;

/// What mount_setattr changes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub(crate) struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub(crate) set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub(crate) clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE` or 0 for no change.
    pub(crate) propagation: u64,
    /// A user namespace's fd, with [`IDMAP`]; else 0.
    pub(crate) user_namespace: u64,
}

/// open_tree with `OPEN_TREE_CLONE`: a detached copy of the mount at a path, or of the one `directory` is on when the
/// path is empty; with all mounts below it when `recursive`.
pub(crate) fn clone_tree(directory: RawFd, path: &CStr, recursive: bool) -> Sys<RawFd> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH.cast_unsigned();
    if recursive {
        flags |= libc::AT_RECURSIVE.cast_unsigned();
    }
    // SAFETY: the path ends with NUL.
    unsafe { call(libc::SYS_open_tree, [directory.word(), path.word(), flags.word()]) }.map(descriptor)
}

/// move_mount of a detached tree onto an open file.
pub(crate) fn attach(tree: RawFd, target: RawFd) -> Sys<()> {
    let words = [tree.word(), c"".word(), target.word(), c"".word(), (MOVE_EMPTY_SOURCE | MOVE_EMPTY_TARGET).word()];
    // SAFETY: both paths end with NUL.
    unsafe { call(libc::SYS_move_mount, words) }.map(drop)
}

/// move_mount of a detached tree onto a path.
pub(crate) fn attach_at(tree: RawFd, path: &CStr) -> Sys<()> {
    let words = [tree.word(), c"".word(), libc::AT_FDCWD.word(), path.word(), MOVE_EMPTY_SOURCE.word()];
    // SAFETY: both paths end with NUL.
    unsafe { call(libc::SYS_move_mount, words) }.map(drop)
}

/// fsopen.
pub(crate) fn open_file_system(kind: &CStr) -> Sys<RawFd> {
    const CLOSE_ON_EXEC: u32 = 1;
    // SAFETY: the name ends with NUL.
    unsafe { call(libc::SYS_fsopen, [kind.word(), CLOSE_ON_EXEC.word()]) }.map(descriptor)
}

/// fsconfig of an option without a value.
pub(crate) fn configure_flag(context: RawFd, key: &CStr) -> Sys<()> {
    // SAFETY: the key ends with NUL.
    unsafe { call(libc::SYS_fsconfig, [context.word(), CONFIGURE_FLAG.word(), key.word(), 0, 0]) }.map(drop)
}

/// fsconfig of an option with a value.
pub(crate) fn configure_string(context: RawFd, key: &CStr, value: &CStr) -> Sys<()> {
    let words = [context.word(), CONFIGURE_STRING.word(), key.word(), value.word(), 0];
    // SAFETY: both strings end with NUL.
    unsafe { call(libc::SYS_fsconfig, words) }.map(drop)
}

/// fsconfig of an option whose value is an open file.
pub(crate) fn configure_fd(context: RawFd, key: &CStr, value: RawFd) -> Sys<()> {
    let words = [context.word(), CONFIGURE_FD.word(), key.word(), 0, value.word()];
    // SAFETY: the key ends with NUL; the value is a number.
    unsafe { call(libc::SYS_fsconfig, words) }.map(drop)
}

/// fsconfig: all options are there.
pub(crate) fn create_superblock(context: RawFd) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_fsconfig, [context.word(), CONFIGURE_CREATE.word(), 0, 0, 0]) }.map(drop)
}

/// fsmount: a detached mount with these `MOUNT_ATTR_*`.
pub(crate) fn new_mount(context: RawFd, attributes: u32) -> Sys<RawFd> {
    const CLOSE_ON_EXEC: u32 = 1;
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_fsmount, [context.word(), CLOSE_ON_EXEC.word(), attributes.word()]) }.map(descriptor)
}

/// mount_setattr of the mount that an open file is the root of, and of all below it when `recursive`.
pub(crate) fn set_attributes(mount: RawFd, recursive: bool, attributes: &Attributes) -> Sys<()> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    let words =
        [mount.word(), c"".word(), flags.word(), std::ptr::from_ref(attributes).word(), size_of::<Attributes>()];
    // SAFETY: the path ends with NUL; the attributes have the size given and live through the call.
    unsafe { call(libc::SYS_mount_setattr, words) }.map(drop)
}

/// The old mount(2), for what the new calls do not do: propagation of `/`, namespace files, kernels before 6.5.
pub(crate) fn mount_legacy(source: &CStr, target: &CStr, kind: &CStr, flags: u64, data: &CStr) -> Sys<()> {
    let flags = usize::try_from(flags).unwrap_or(usize::MAX);
    // SAFETY: all strings end with NUL.
    unsafe { call(libc::SYS_mount, [source.word(), target.word(), kind.word(), flags, data.word()]) }.map(drop)
}

/// pivot_root(".", "."): the mount at the working directory becomes the root, the old root lies on top of it.
pub(crate) fn change_root_to_here() -> Sys<()> {
    // SAFETY: both paths end with NUL.
    unsafe { call(libc::SYS_pivot_root, [c".".word(), c".".word()]) }.map(drop)
}

/// chroot(".").
pub(crate) fn confine_to_here() -> Sys<()> {
    // SAFETY: the path ends with NUL.
    unsafe { call(libc::SYS_chroot, [c".".word()]) }.map(drop)
}

/// umount2, lazily and never through a symlink at the path's end.
pub(crate) fn unmount(path: &CStr) -> Sys<()> {
    let flags = libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW;
    // SAFETY: the path ends with NUL.
    unsafe { call(libc::SYS_umount2, [path.word(), flags.word()]) }.map(drop)
}
