use super::{Errno, RawFd, Sys, Word as _, call, descriptor};

/// seccomp: filters this thread's system calls from here on. A descriptor when `flags` ask for a listener, else 0.
pub(crate) fn load_filter(program: &[libc::sock_filter], flags: u64) -> Sys<RawFd> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno(libc::E2BIG))?,
        filter: program.as_ptr().cast_mut(),
    };
    let flags = usize::try_from(flags).map_err(|_| Errno(libc::EINVAL))?;
    let words = [libc::SECCOMP_SET_MODE_FILTER.word(), flags, (&raw const program).word()];
    // SAFETY: the program is as long as said; the kernel copies it.
    unsafe { call(libc::SYS_seccomp, words) }.map(descriptor)
}

/// Whether filters may be loaded with these flags: the kernel looks at them before it reads the filter, which is nowhere.
pub(crate) fn takes_filter_flags(flags: u64) -> bool {
    let Ok(flags) = usize::try_from(flags) else { return false };
    // SAFETY: the address is null, which the kernel refuses to read.
    let refused = unsafe { call(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER.word(), flags, 0]) };
    refused == Err(Errno(libc::EFAULT))
}

/// pidfd_getfd: a copy of another process's descriptor, close-on-exec.
pub(crate) fn take_descriptor(pidfd: RawFd, number: RawFd) -> Sys<RawFd> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_pidfd_getfd, [pidfd.word(), number.word(), 0]) }.map(descriptor)
}
