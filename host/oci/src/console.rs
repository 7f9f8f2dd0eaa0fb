use std::{
    io::IoSlice,
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
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
    let step = || format!("console socket {}", socket.display());
    let stream = UnixStream::connect(socket).step(step)?;
    let fds = [master.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    // Receivers take the bytes for its name.
    sendmsg(&stream, &[IoSlice::new(b"/dev/ptmx")], &mut control, SendFlags::NOSIGNAL)
        .map_err(std::io::Error::from)
        .step(step)?;
    Ok(())
}
