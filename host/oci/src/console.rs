use std::{
    io::IoSlice,
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use wharf_error::{Error, Result, ResultExt as _};

/// Whether terminal and console socket go together: a detached process with a terminal needs somebody who takes it.
pub(crate) fn check(terminal: bool, socket: Option<&Path>, detached: bool) -> Result<()> {
    match (terminal, socket) {
        (true, None) if detached => {
            Err(Error::invalid("cannot allocate tty if runtime will detach without setting console socket"))
        }
        (_, Some(_)) if !(terminal && detached) => {
            Err(Error::invalid("cannot use console socket if runtime will not detach or allocate tty"))
        }
        _ => Ok(()),
    }
}

/// Sends a terminal's master over the socket.
pub(crate) fn send(master: &OwnedFd, socket: &Path) -> Result<()> {
    send_named(master.as_fd(), b"/dev/ptmx", socket).step(|| format!("console socket {}", socket.display()))
}

/// Sends a process's pidfd over the socket.
pub(crate) fn send_pidfd(pidfd: BorrowedFd<'_>, socket: &Path) -> Result<()> {
    send_named(pidfd, b"pidfd", socket).step(|| format!("pidfd socket {}", socket.display()))
}

/// Receivers take the bytes for its name.
fn send_named(fd: BorrowedFd<'_>, name: &[u8], socket: &Path) -> Result<()> {
    let step = || "send a descriptor".into();
    let stream = UnixStream::connect(socket).step(step)?;
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(&stream, &[IoSlice::new(name)], &mut control, SendFlags::NOSIGNAL)
        .map_err(std::io::Error::from)
        .step(step)?;
    Ok(())
}
