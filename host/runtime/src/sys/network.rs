use super::{Sys, Word as _, call, close, descriptor};

/// Brings `lo` of the caller's network namespace up.
pub(crate) fn bring_loopback_up() -> Sys<()> {
    /// `struct ifreq` with its flags: 16 bytes of name, 24 of union.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: i16,
        rest: [u8; 22],
    }
    const UP_AND_RUNNING: i16 = 0x1 | 0x40;
    let mut request = Request { name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", flags: UP_AND_RUNNING, rest: [0; 22] };
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: no memory is involved.
    let socket = descriptor(unsafe { call(libc::SYS_socket, [libc::AF_INET.word(), kind.word(), 0]) }?);
    let number = usize::try_from(libc::SIOCSIFFLAGS).unwrap_or(usize::MAX);
    // SAFETY: the request is an ifreq and lives through the call.
    let done = unsafe { call(libc::SYS_ioctl, [socket.word(), number, (&raw mut request).word()]) };
    close(socket);
    done.map(drop)
}
