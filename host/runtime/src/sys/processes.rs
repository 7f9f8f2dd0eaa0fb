use std::ffi::{CStr, CString, c_char};

use super::{Errno, RawFd, Sys, Word as _, call, descriptor};

const SIGNALS: i32 = 64;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// How to clone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CloneRequest {
    /// `CLONE_*`; a pidfd is always asked for.
    pub(crate) flags: u64,
    /// The signal at its end; none (0) with `CLONE_PARENT`, which inherits the caller's.
    pub(crate) exit_signal: u64,
    /// The directory of the v2 cgroup to be born in.
    pub(crate) cgroup: Option<RawFd>,
}

/// Where the caller of [`clone`] finds itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cloned {
    Child,
    Parent { pid: i32, pidfd: RawFd },
}

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub(crate) struct Limit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Strings as the kernel takes them: pointers, the last one null.
#[derive(Debug)]
pub(crate) struct PointerList {
    pointers: Vec<*const c_char>,
    // What the pointers lead to: heap buffers that do not move with the list.
    _strings: Vec<CString>,
}

impl PointerList {
    pub(crate) fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        Self { pointers, _strings: strings }
    }
}

/// clone3, as fork does it: the child has a copy of the memory and goes on from here.
///
/// # Safety
/// Other threads may hold locks that nobody in the child will ever release. The child calls nothing but this module
/// and code that neither allocates nor locks, never returns from its function, and ends by [`execute`] or [`exit`].
pub(crate) unsafe fn clone(request: &CloneRequest) -> Sys<Cloned> {
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    #[derive(Default)]
    #[repr(C)]
    struct Arguments {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    let mut pidfd: RawFd = -1;
    let cgroup_flag = if request.cgroup.is_some() { INTO_CGROUP } else { 0 };
    let arguments = Arguments {
        flags: request.flags | u64::from(libc::CLONE_PIDFD.cast_unsigned()) | cgroup_flag,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        exit_signal: request.exit_signal,
        cgroup: request.cgroup.and_then(|fd| u64::try_from(fd).ok()).unwrap_or(0),
        ..Arguments::default()
    };
    // SAFETY: the arguments have the size given and point to `pidfd`; both live through the call. No stack is given
    // and no memory shared, so the child goes on on its own copy of this stack; what it may do is the caller's promise.
    let pid = unsafe { call(libc::SYS_clone3, [(&raw const arguments).word(), size_of::<Arguments>()]) }?;
    Ok(if pid == 0 { Cloned::Child } else { Cloned::Parent { pid: descriptor(pid), pidfd } })
}

/// setns into the namespaces `kinds` (`CLONE_NEW*`) of a namespace file or a pidfd.
pub(crate) fn enter_namespace(fd: RawFd, kinds: i32) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_setns, [fd.word(), kinds.word()]) }.map(drop)
}

/// Which kind (`CLONE_NEW*`) of namespace a file is: `NS_GET_NSTYPE`.
pub(crate) fn namespace_kind(fd: RawFd) -> Sys<i32> {
    const GET_TYPE: usize = 0xb703;
    // SAFETY: this request takes no argument.
    unsafe { call(libc::SYS_ioctl, [fd.word(), GET_TYPE]) }.map(|kind| i32::try_from(kind).unwrap_or(0))
}

/// A pidfd of the caller itself.
pub(crate) fn own_pidfd() -> Sys<RawFd> {
    // SAFETY: no memory is involved.
    let pid = unsafe { call::<0>(libc::SYS_getpid, []) }?;
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_pidfd_open, [pid, 0]) }.map(descriptor)
}

/// unshare.
pub(crate) fn leave_namespaces(kinds: i32) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_unshare, [kinds.word()]) }.map(drop)
}

/// setsid.
pub(crate) fn new_session() -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call::<0>(libc::SYS_setsid, []) }.map(drop)
}

/// sethostname.
pub(crate) fn set_host_name(name: &[u8]) -> Sys<()> {
    // SAFETY: the buffer is as long as said.
    unsafe { call(libc::SYS_sethostname, [name.as_ptr().word(), name.len()]) }.map(drop)
}

/// setdomainname.
pub(crate) fn set_domain_name(name: &[u8]) -> Sys<()> {
    // SAFETY: the buffer is as long as said.
    unsafe { call(libc::SYS_setdomainname, [name.as_ptr().word(), name.len()]) }.map(drop)
}

/// execve; returns only its error.
pub(crate) fn execute(path: &CStr, arguments: &PointerList, environment: &PointerList) -> Errno {
    let words = [path.word(), arguments.pointers.as_ptr().word(), environment.pointers.as_ptr().word()];
    // SAFETY: the path ends with NUL; both lists end with null and point to strings that they own.
    match unsafe { call(libc::SYS_execve, words) } {
        Err(errno) => errno,
        Ok(_) => Errno(0),
    }
}

/// exit_group. Should a filter refuse even that, an instruction that is none ends the process.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: no memory is involved; the process ends without running anything of its own.
    let _ = unsafe { call(libc::SYS_exit_group, [code.word()]) };
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel ends the process here: no signal has a handler any more, and this one cannot be blocked.
    unsafe {
        std::arch::asm!("ud2", options(noreturn))
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("udf #0", options(noreturn))
    }
}

/// Sends a signal through a pidfd: to the process, or to the process group that it leads, which is `EINVAL` before
/// Linux 6.9.
pub(crate) fn send_signal(pidfd: RawFd, signal: i32, group: bool) -> Sys<()> {
    let flags = if group { libc::PIDFD_SIGNAL_PROCESS_GROUP } else { 0 };
    // SAFETY: no memory is involved: no signal information is given.
    unsafe { call(libc::SYS_pidfd_send_signal, [pidfd.word(), signal.word(), 0, flags.word()]) }.map(drop)
}

/// Sends a signal to the process group of this number.
pub(crate) fn send_signal_by_number(group: i32, signal: i32) -> Sys<()> {
    let group = group.checked_neg().filter(|group| *group < -1).ok_or(Errno(libc::EINVAL))?;
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_kill, [group.word(), signal.word()]) }.map(drop)
}

/// Gives every signal its default action back. The Rust runtime ignores SIGPIPE, and handlers write to pipes that a
/// forked child shares with its parent.
pub(crate) fn reset_signals() {
    /// The kernel's own sigaction: larger than any architecture's, all zeros being the default action.
    #[repr(C)]
    struct Action([usize; 8]);
    let action = Action([0; 8]);
    for signal in 1..=SIGNALS {
        // SIGKILL and SIGSTOP are refused, which is right.
        // SAFETY: the action is as large as the kernel reads; the set's size is that of 64 bits.
        let _ = unsafe { call(libc::SYS_rt_sigaction, [signal.word(), (&raw const action).word(), 0, 8]) };
    }
}

/// Sets which signals this thread blocks, one bit each, and returns what it was.
pub(crate) fn set_signal_mask(mask: u64) -> Sys<u64> {
    let mut old: u64 = 0;
    let words = [libc::SIG_SETMASK.word(), (&raw const mask).word(), (&raw mut old).word(), size_of::<u64>()];
    // SAFETY: both sets are 64 bits and live through the call.
    unsafe { call(libc::SYS_rt_sigprocmask, words) }.map(|_| old)
}

/// prlimit of the caller: sets when `new` is given, and returns what it was.
pub(crate) fn limit(resource: u32, new: Option<&Limit>) -> Sys<Limit> {
    let mut old = Limit { soft: 0, hard: 0 };
    let pointer = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `pointer` is null or a limit, `old` a limit; both live through the call.
    unsafe { call(libc::SYS_prlimit64, [0, resource.word(), pointer.word(), (&raw mut old).word()]) }.map(|_| old)
}

/// setgroups of this process: it has one thread.
pub(crate) fn set_groups(groups: &[u32]) -> Sys<()> {
    // SAFETY: the list is as long as said.
    unsafe { call(libc::SYS_setgroups, [groups.len(), groups.as_ptr().word()]) }.map(drop)
}

/// setresgid of this process, all three alike.
pub(crate) fn set_group(gid: u32) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_setresgid, [gid.word(), gid.word(), gid.word()]) }.map(drop)
}

/// setresuid of this process, all three alike.
pub(crate) fn set_user(uid: u32) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_setresuid, [uid.word(), uid.word(), uid.word()]) }.map(drop)
}

/// setresuid of this process, its effective user alone. Becoming root again brings back what that may.
pub(crate) fn set_effective_user(uid: u32) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_setresuid, [u32::MAX.word(), uid.word(), u32::MAX.word()]) }.map(drop)
}

/// setfsgid and setfsuid of this thread: as whom it makes files. Takes the capabilities that go with files out of the
/// effective set; [`set_capabilities`] puts them back.
pub(crate) fn set_file_user(uid: u32, gid: u32) -> Sys<()> {
    for (number, id) in [(libc::SYS_setfsgid, gid), (libc::SYS_setfsuid, uid)] {
        // They return what was, also when they fail: asked for nobody, they tell what is.
        // SAFETY: no memory is involved.
        unsafe { call(number, [id.word()]) }?;
        // SAFETY: no memory is involved.
        if unsafe { call(number, [u32::MAX.word()]) }? != id.word() {
            return Err(Errno(libc::EPERM));
        }
    }
    Ok(())
}

/// Keeps the permitted capabilities across [`set_user`], or no longer.
pub(crate) fn keep_capabilities(keep: bool) -> Sys<()> {
    control(libc::PR_SET_KEEPCAPS, usize::from(keep), 0).map(drop)
}

/// Drops a capability from the bounding set.
pub(crate) fn drop_bounding(capability: u32) -> Sys<()> {
    control(libc::PR_CAPBSET_DROP, capability.word(), 0).map(drop)
}

/// Whether the bounding set has a capability; an error when the kernel does not know it.
pub(crate) fn has_bounding(capability: u32) -> Sys<bool> {
    control(libc::PR_CAPBSET_READ, capability.word(), 0).map(|value| value == 1)
}

/// Empties the ambient set.
pub(crate) fn clear_ambient() -> Sys<()> {
    control(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL.word(), 0).map(drop)
}

/// Adds a capability to the ambient set.
pub(crate) fn raise_ambient(capability: u32) -> Sys<()> {
    control(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE.word(), capability.word()).map(drop)
}

/// No exec gives more than the caller has, from here on.
pub(crate) fn no_new_privileges() -> Sys<()> {
    control(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// Nobody without CAP_SYS_PTRACE looks into this process, until it execs.
pub(crate) fn not_dumpable() -> Sys<()> {
    control(libc::PR_SET_DUMPABLE, 0, 0).map(drop)
}

/// capset: effective, permitted and inheritable, one bit a capability.
pub(crate) fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Sys<()> {
    let half = |set: u64, high: bool| u32::try_from(if high { set >> 32 } else { set & 0xffff_ffff }).unwrap_or(0);
    let header: [u32; 2] = [CAPABILITY_VERSION_3, 0];
    let data = [
        [half(effective, false), half(permitted, false), half(inheritable, false)],
        [half(effective, true), half(permitted, true), half(inheritable, true)],
    ];
    // SAFETY: header and data have the layout of version 3 and live through the call.
    unsafe { call(libc::SYS_capset, [(&raw const header).word(), (&raw const data).word()]) }.map(drop)
}

/// The permitted capabilities of this thread, one bit each.
pub(crate) fn permitted_capabilities() -> Sys<u64> {
    let header: [u32; 2] = [CAPABILITY_VERSION_3, 0];
    let mut data = [[0_u32; 3]; 2];
    // SAFETY: header and data have the layout of version 3 and live through the call.
    unsafe { call(libc::SYS_capget, [(&raw const header).word(), (&raw mut data).word()]) }?;
    let [[_, low, _], [_, high, _]] = data;
    Ok(u64::from(low) | u64::from(high) << 32)
}

/// Reads a number at an address of another process: a forked child has its copy of our memory at our addresses.
pub(crate) fn peek(pid: i32, address: *const u32) -> Sys<u32> {
    let mut value: u32 = 0;
    let here = libc::iovec { iov_base: (&raw mut value).cast(), iov_len: size_of::<u32>() };
    let there = libc::iovec { iov_base: address.cast_mut().cast(), iov_len: size_of::<u32>() };
    let words = [pid.word(), (&raw const here).word(), 1, (&raw const there).word(), 1, 0];
    // SAFETY: `here` is a number of ours that lives through the call; the kernel itself judges the other address.
    unsafe { call(libc::SYS_process_vm_readv, words) }.map(|_| value)
}

fn control(option: i32, second: usize, third: usize) -> Sys<usize> {
    // SAFETY: the options used here take numbers only.
    unsafe { call(libc::SYS_prctl, [option.word(), second, third, 0, 0]) }
}
