//! A conversation with the kernel about a thread's network namespace.

use std::{io, os::fd::OwnedFd, time::Duration};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

/// How long an answer may take. A request itself is done while it is sent, under the one lock of all changes of interfaces
/// in the kernel, for which nothing but the kernel can set a time.
const DEADLINE: Duration = Duration::from_secs(10);

/// More than the kernel puts into one answer.
const LARGEST: usize = 64 * 1024;

/// Messages begin at multiples of this.
const ALIGN: usize = 4;

pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// For the namespace that the thread is in.
    pub(super) fn open() -> Result<Self> {
        let step = || "open a netlink socket".into();
        // No protocol is the first one, which is about interfaces and routes.
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None);
        let fd = fd.map_err(io::Error::from).step(step)?;
        set_socket_timeout(&fd, Timeout::Recv, Some(DEADLINE)).map_err(io::Error::from).step(step)?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; LARGEST] })
    }

    /// What is asked for, of one thing.
    pub(super) fn get(&mut self, message: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>> {
        self.ask(message, NLM_F_ACK)
    }

    /// Of all that there are.
    pub(super) fn list(&mut self, message: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>> {
        self.ask(message, NLM_F_DUMP)
    }

    /// Changes what is there.
    pub(super) fn change(&mut self, message: RouteNetlinkMessage) -> Result<()> {
        self.ask(message, NLM_F_ACK).map(drop)
    }

    /// Makes what is not there.
    pub(super) fn create(&mut self, message: RouteNetlinkMessage) -> Result<()> {
        self.ask(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL).map(drop)
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        send(&self.fd, &bytes, SendFlags::empty()).map_err(io::Error::from).step(|| "ask the kernel".into())?;
        let mut answers = Vec::new();
        while !self.receive(&mut answers)? {}
        Ok(answers)
    }

    /// Takes one packet of answers; whether it was the last.
    fn receive(&mut self, answers: &mut Vec<RouteNetlinkMessage>) -> Result<bool> {
        let (count, _) = recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::empty())
            .map_err(io::Error::from)
            .step(|| "wait for the kernel's answer".into())?;
        let mut rest = self.buffer.get(..count).unwrap_or_default();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .step_as(Kind::Internal, || "read the kernel's answer".into())?;
            let length = usize::try_from(message.header.length).unwrap_or(usize::MAX).next_multiple_of(ALIGN);
            rest = rest.get(length..).unwrap_or_default();
            // What was left of a request before is not this one's.
            if message.header.sequence_number != self.sequence {
                continue;
            }
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::Error(error) => {
                    return match error.code {
                        None => Ok(true),
                        Some(code) => Err(refused(code.get())),
                    };
                }
                NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                _ => {}
            }
        }
        Ok(false)
    }
}

fn refused(code: i32) -> Error {
    let error = io::Error::from_raw_os_error(code.saturating_neg());
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::NotFound, error.to_string()),
        io::ErrorKind::AlreadyExists => Error::new(Kind::AlreadyExists, error.to_string()),
        _ => Error::internal(error.to_string()),
    }
}
