use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use oci_spec::runtime::{ContainerProcessState, ContainerState, SECCOMP_FD_NAME, Spec};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    connect, sendmsg, socket_with, sockopt,
};
use wharf_error::{Error, Result, ResultExt as _};
use wharf_seccomp::{Architecture, Filter, compile};

use crate::{
    state::Facts,
    sys::{self, RawFd},
};

/// How long a listener's agent may take to accept it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The filter of a container's system calls: of its first process, and of any further one.
#[derive(Debug)]
pub(crate) struct Seccomp {
    filter: Arc<Filter>,
    /// Where the listener goes of a filter that asks one.
    agent: Option<Agent>,
}

/// Who answers for system calls that the profile leaves to it.
#[derive(Debug)]
struct Agent {
    socket: PathBuf,
    metadata: Option<String>,
}

impl Seccomp {
    /// What a specification asks for. A profile that cannot be had is an error here, before anything is made.
    pub(crate) fn of(spec: &Spec) -> Result<Option<Self>> {
        let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
        let Some(profile) = profile else { return Ok(None) };
        let filter = compile(profile, Architecture::NATIVE)?;
        let socket = profile.listener_path().clone().filter(|_| filter.notifies);
        let agent = socket.map(|socket| Agent { socket, metadata: profile.listener_metadata().clone() });
        Ok(Some(Self { filter: Arc::new(filter), agent }))
    }

    pub(crate) fn filter(&self) -> Arc<Filter> {
        self.filter.clone()
    }

    /// Whether a process tells of a listener when it has loaded the filter.
    pub(crate) fn notifies(&self) -> bool {
        self.filter.notifies
    }

    /// Takes the listener out of a process that has loaded the filter and waits, and gives it to the agent with what
    /// the specification calls the container process state.
    pub(crate) fn announce(&self, process: (i32, BorrowedFd<'_>), number: RawFd, facts: &Facts, of: Of) -> Result<()> {
        let Some(agent) = &self.agent else {
            return Err(Error::internal("a seccomp listener was made that nobody asked for"));
        };
        let step = || format!("give the seccomp listener to {}", agent.socket.display());
        let (pid, pidfd) = process;
        let taken = sys::take_descriptor(pidfd.as_raw_fd(), number).map_err(io::Error::from).step(step)?;
        // SAFETY: the kernel has just made this descriptor for us alone.
        let listener = unsafe { OwnedFd::from_raw_fd(taken) };
        let mut state = ContainerProcessState::default();
        state
            .set_version(facts.version().to_owned())
            .set_fds(vec![SECCOMP_FD_NAME.to_owned()])
            .set_pid(pid)
            .set_metadata(agent.metadata.clone())
            .set_state(facts.state(of.status, of.pid));
        let json = serde_json::to_vec(&state).step(step)?;
        agent.send(&json, &listener).step(step)
    }
}

/// Of which container: its status, and its first process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of {
    pub(crate) status: ContainerState,
    pub(crate) pid: i32,
}

impl Agent {
    fn send(&self, json: &[u8], listener: &OwnedFd) -> io::Result<()> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Of connecting too: the kernel waits so long for room in the agent's queue.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE))?;
        connect(&socket, &SocketAddrUnix::new(&self.socket)?)?;
        let mut rest = json;
        while !rest.is_empty() {
            let fds = [listener.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            // With the first bytes, once.
            if rest.len() == json.len() {
                ancillary.push(SendAncillaryMessage::ScmRights(&fds));
            }
            let sent = sendmsg(&socket, &[IoSlice::new(rest)], &mut ancillary, SendFlags::NOSIGNAL)?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }
}
