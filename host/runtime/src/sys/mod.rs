//! Raw system calls, each a thin function: the crate's only unsafe code.
//!
//! They allocate nothing, take no lock and touch no state of a C library but this thread's errno, so the child between
//! clone and exec may call every one of them.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the kernel's structs are laid out here as on 64 bits");

mod bpf;
mod confinement;
mod files;
mod messages;
mod mounts;
mod network;
mod processes;
mod scheduling;
mod terminals;

use std::{
    ffi::{CStr, c_long},
    io,
};

pub(crate) use std::os::fd::RawFd;

pub(crate) use self::{
    bpf::{attach_device_filter, detach_device_filter, device_filters, load_device_filter, open_program},
    confinement::{load_filter, take_descriptor, takes_filter_flags},
    files::{
        Stat, chown_at, close, close_range, duplicate, enter, exists, file_system, give, make_directory, make_link,
        make_node, may_execute, open_in, read, read_link, replace, set_umask, stat, stat_path, working_directory,
        write,
    },
    messages::{accept, receive_descriptor, send},
    mounts::{
        Attributes, IDMAP, READ_ONLY, attach, attach_at, change_root_to_here, clone_tree, configure_fd, configure_flag,
        configure_string, confine_to_here, create_superblock, mount_legacy, new_mount, open_file_system,
        set_attributes, unmount,
    },
    network::bring_loopback_up,
    processes::{
        CloneRequest, Cloned, Limit, PointerList, clear_ambient, clone, drop_bounding, enter_namespace, execute, exit,
        has_bounding, keep_capabilities, leave_namespaces, limit, namespace_kind, new_session, no_new_privileges,
        not_dumpable, own_pidfd, peek, permitted_capabilities, raise_ambient, reset_signals, send_signal,
        send_signal_by_number, set_capabilities, set_domain_name, set_effective_user, set_file_user, set_group,
        set_groups, set_host_name, set_signal_mask, set_user,
    },
    scheduling::{Schedule, set_affinity, set_io_priority, set_memory_policy, set_personality, set_schedule},
    terminals::{make_controlling, open_peer, resize, unlock},
};

/// The error number of a failed system call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Errno(pub(crate) i32);

/// What a system call returns.
pub(crate) type Sys<T> = Result<T, Errno>;

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// Something that fits into a register.
trait Word {
    fn word(self) -> usize;
}

impl Word for usize {
    fn word(self) -> usize {
        self
    }
}

impl Word for u32 {
    fn word(self) -> usize {
        self as usize
    }
}

impl Word for i32 {
    fn word(self) -> usize {
        (self as isize).cast_unsigned()
    }
}

impl Word for &CStr {
    fn word(self) -> usize {
        self.as_ptr().expose_provenance()
    }
}

impl<T> Word for *const T {
    fn word(self) -> usize {
        self.expose_provenance()
    }
}

impl<T> Word for *mut T {
    fn word(self) -> usize {
        self.expose_provenance()
    }
}

/// One system call.
///
/// # Safety
/// The arguments are what the kernel expects of this call; every pointer is valid for what it does with it.
unsafe fn call<const N: usize>(number: c_long, words: [usize; N]) -> Sys<usize> {
    let word = |i: usize| words.get(i).copied().unwrap_or(0);
    // SAFETY: by this function's contract; unused registers are zero.
    let value = unsafe { libc::syscall(number, word(0), word(1), word(2), word(3), word(4), word(5)) };
    if value == -1 {
        // SAFETY: this thread's errno, always valid.
        Err(Errno(unsafe { *libc::__errno_location() }))
    } else {
        Ok(usize::try_from(value).unwrap_or(0))
    }
}

/// A descriptor out of a system call's result.
fn descriptor(value: usize) -> RawFd {
    RawFd::try_from(value).unwrap_or(-1)
}
