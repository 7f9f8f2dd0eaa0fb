use super::{Errno, RawFd, Sys, Word as _, call, descriptor};

/// Waits for a connection to a listening socket; close-on-exec.
pub(crate) fn accept(socket: RawFd) -> Sys<RawFd> {
    loop {
        // SAFETY: no address is asked for.
        match unsafe { call(libc::SYS_accept4, [socket.word(), 0, 0, libc::SOCK_CLOEXEC.word()]) } {
            Err(Errno(libc::EINTR)) => {}
            other => return other.map(descriptor),
        }
    }
}

/// Sends one message over a socket, with a descriptor when one is given. Never raises SIGPIPE.
pub(crate) fn send(socket: RawFd, bytes: &[u8], descriptor: Option<RawFd>) -> Sys<()> {
    /// `cmsghdr` and one descriptor behind it, padded as the kernel wants it.
    #[repr(C)]
    struct Rights {
        length: usize,
        level: i32,
        kind: i32,
        descriptor: i32,
        padding: i32,
    }
    // CMSG_LEN of one int: the header and the int, without the padding behind it.
    let rights = Rights {
        length: size_of::<Rights>() - size_of::<i32>(),
        level: libc::SOL_SOCKET,
        kind: libc::SCM_RIGHTS,
        descriptor: descriptor.unwrap_or(-1),
        padding: 0,
    };
    let vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all zeros is a value of this struct of numbers and pointers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw const vector).cast_mut();
    message.msg_iovlen = 1;
    if descriptor.is_some() {
        message.msg_control = (&raw const rights).cast_mut().cast();
        message.msg_controllen = size_of::<Rights>();
    }
    loop {
        // SAFETY: the message points to the vector, the bytes and the rights, which live through the call; the kernel
        // only reads them.
        let sent =
            unsafe { call(libc::SYS_sendmsg, [socket.word(), (&raw const message).word(), libc::MSG_NOSIGNAL.word()]) };
        match sent {
            Err(Errno(libc::EINTR)) => {}
            other => return other.map(drop),
        }
    }
}

/// Waits for one message and takes the descriptor that comes with it, close-on-exec. None, or no message any more: EBADMSG.
pub(crate) fn receive_descriptor(socket: RawFd) -> Sys<RawFd> {
    /// As in [`send`].
    #[derive(Default)]
    #[repr(C)]
    struct Rights {
        length: usize,
        level: i32,
        kind: i32,
        descriptor: i32,
        padding: i32,
    }
    let mut rights = Rights::default();
    let mut byte = [0_u8; 1];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    loop {
        // SAFETY: all zeros is a value of this struct of numbers and pointers.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut rights).cast();
        message.msg_controllen = size_of::<Rights>();
        let words = [socket.word(), (&raw mut message).word(), libc::MSG_CMSG_CLOEXEC.word()];
        // SAFETY: the message points to the vector, the byte and the rights, which live through the call and are as long as said.
        match unsafe { call(libc::SYS_recvmsg, words) } {
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
            Ok(1..) if rights.level == libc::SOL_SOCKET && rights.kind == libc::SCM_RIGHTS => {
                return Ok(rights.descriptor);
            }
            Ok(_) => return Err(Errno(libc::EBADMSG)),
        }
    }
}
