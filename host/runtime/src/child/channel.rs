use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send, sockopt::set_socket_passcred,
    },
    process::{Pid, PidfdFlags, pidfd_open},
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::report::{HEADER, TEXT, Tag};

/// The parent's end of the socket to a child.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// What a child says.
#[derive(Debug)]
pub(crate) enum Message {
    /// It went on with less than it was asked for.
    Warning { step: u32, errno: i32, value: i32 },
    /// It ended at a step.
    Failed { step: u32, errno: i32, value: i32, text: String },
    /// It waits for [`Channel::release`].
    Ready,
    /// The process that goes on: told by both sides of the fork, in any order.
    Forked { pid: i32, pidfd: OwnedFd },
    /// The terminal's master.
    Terminal(OwnedFd),
    /// A seccomp filter's listener has this number there. It waits for [`Channel::release`].
    Listener(i32),
    /// It has executed its program, or ended.
    Closed,
}

impl Channel {
    /// The kernel adds to each message who sent it.
    pub(super) fn new(socket: OwnedFd) -> Result<Self> {
        set_socket_passcred(&socket, true)
            .map_err(io::Error::from)
            .step(|| "prepare the socket to the child".into())?;
        Ok(Self(socket))
    }

    /// The same of a connection that the child has accepted.
    pub(crate) fn of_connection(socket: OwnedFd) -> Result<Self> {
        Self::new(socket)
    }

    /// Lets the child go on after [`Message::Ready`].
    pub(crate) fn release(&self) -> io::Result<()> {
        send(&self.0, b"g", SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message. `DeadlineExceeded` when it does not come in time.
    pub(crate) fn receive(&self, deadline: Instant) -> Result<Message> {
        self.wait(deadline)?;
        let mut bytes = [0_u8; HEADER + TEXT];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1), ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut vectors = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut vectors, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                // The child was killed with unread bytes in its end: closed all the same.
                Err(rustix::io::Errno::CONNRESET) => return Ok(Message::Closed),
                other => break other.map_err(io::Error::from).step(|| "read from the child".into())?.bytes,
            }
        };
        let (mut fd, mut sender) = (None, None);
        for message in ancillary.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(mut fds) => fd = fds.next(),
                RecvAncillaryMessage::ScmCredentials(credentials) => sender = Some(credentials.pid),
                _ => {}
            }
        }
        match bytes.get(..received) {
            None | Some([]) => Ok(Message::Closed),
            Some(bytes) => parse(bytes, fd, sender)?.ok_or_else(|| Error::internal("the child's message is malformed")),
        }
    }

    fn wait(&self, deadline: Instant) -> Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) => return Err(Error::new(Kind::DeadlineExceeded, "no answer in time")),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(io::Error::from(errno)).step(|| "wait for the child".into()),
            }
        }
    }
}

/// For poll.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

fn parse(bytes: &[u8], fd: Option<OwnedFd>, sender: Option<Pid>) -> Result<Option<Message>> {
    let number = |i: usize| {
        let four = bytes.get(i * 4..i * 4 + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(four))
    };
    let (Some(tag), Some(step), Some(errno), Some(value)) = (number(0), number(1), number(2), number(3)) else {
        return Ok(None);
    };
    let (errno, value) = (errno.cast_signed(), value.cast_signed());
    Ok(match tag {
        _ if tag == Tag::Warning as u32 => Some(Message::Warning { step, errno, value }),
        _ if tag == Tag::Failed as u32 => {
            let text = String::from_utf8_lossy(bytes.get(HEADER..).unwrap_or_default());
            // The kernel marks each line of its log with its level.
            let text = text.trim().trim_start_matches("e ").to_owned();
            Some(Message::Failed { step, errno, value, text })
        }
        _ if tag == Tag::Ready as u32 => Some(Message::Ready),
        _ if tag == Tag::Forked as u32 => fd.map(|pidfd| Message::Forked { pid: value, pidfd }),
        _ if tag == Tag::Listener as u32 => Some(Message::Listener(value)),
        _ if tag == Tag::Terminal as u32 => fd.map(Message::Terminal),
        _ if tag == Tag::Here as u32 => match sender {
            // A child of ours that nobody else reaps: the number is its own.
            Some(pid) => {
                let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from);
                let pidfd = pidfd.step(|| "open the new process".into())?;
                Some(Message::Forked { pid: pid.as_raw_nonzero().get(), pidfd })
            }
            None => None,
        },
        _ => None,
    })
}
