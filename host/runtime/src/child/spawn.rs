use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use wharf_error::{Result, ResultExt as _};

use super::{Channel, Program, interpret::run};
use crate::sys::{self, CloneRequest, Cloned};

/// A child that has been started on its program.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) channel: Channel,
}

/// Clones a child that runs the program. Its end raises SIGCHLD, as any child's.
pub(crate) fn spawn(program: &Program, flags: u64, cgroup: Option<sys::RawFd>) -> Result<Spawned> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(io::Error::from)
        .step(|| "make a socket to the child".into())?;
    let ours = Channel::new(ours)?;
    let channel = theirs.as_raw_fd();
    let mut keep = program.numbers();
    keep.push(channel);
    keep.sort_unstable();

    let request = CloneRequest { flags, exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()), cgroup };
    // Until the child has set its own actions, no handler of ours may run in it.
    let mask = sys::set_signal_mask(u64::MAX).map_err(io::Error::from).step(|| "block signals".into())?;
    // SAFETY: the child goes straight into `run`, which neither allocates nor locks, does not return and ends the
    // process by exec or exit.
    let cloned = unsafe { sys::clone(&request) };
    if let Ok(Cloned::Child) = cloned {
        run(program, &keep, channel);
    }
    let restored = sys::set_signal_mask(mask);
    drop(theirs);
    let (pid, pidfd) = match cloned.map_err(io::Error::from) {
        Ok(Cloned::Parent { pid, pidfd }) => {
            // SAFETY: the kernel has just made this descriptor for us alone.
            (pid, unsafe { OwnedFd::from_raw_fd(pidfd) })
        }
        Ok(Cloned::Child) => return Err(wharf_error::Error::internal("clone: the child returned")),
        Err(error) => {
            return Err(error).step(|| match cgroup {
                Some(_) => "clone into the cgroup".into(),
                None => "clone".into(),
            });
        }
    };
    restored.map_err(io::Error::from).step(|| "unblock signals".into())?;
    Ok(Spawned { pid, pidfd, channel: ours })
}
