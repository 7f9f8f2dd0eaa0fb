use std::{
    collections::BTreeMap,
    os::fd::{BorrowedFd, OwnedFd},
    path::Path,
};

use wharf_error::{Error, Kind, Result};

/// The namespaces that a pod's containers share, held open by fd: they live as long as a process or an fd is in them.
#[derive(Debug, Default)]
pub struct PodNamespaces {
    /// The network namespace; `None`: each container's own or the host's, as its specification says.
    pub net: Option<OwnedFd>,
    /// System V IPC and POSIX message queues.
    pub ipc: Option<OwnedFd>,
    /// Host and domain name.
    pub uts: Option<OwnedFd>,
    /// Process ids.
    pub pid: Option<OwnedFd>,
}

/// Which namespaces to make, and what to set in them.
#[derive(Clone, Debug, Default)]
pub struct PodNamespacesRequest {
    /// The host name, set in the new UTS namespace. Without `uts` it is not used.
    pub hostname: Option<String>,
    /// Make a network namespace; its loopback is brought up.
    pub net: bool,
    /// Make an IPC namespace.
    pub ipc: bool,
    /// Make a UTS namespace.
    pub uts: bool,
    /// Kernel settings to write inside, by their dotted or slashed names. Only those that belong to one of the new
    /// namespaces are taken; any other is refused.
    pub sysctls: BTreeMap<String, String>,
}

/// Makes namespaces by a short-lived child, which is gone when this returns. About half a millisecond with a network
/// namespace. Asked for nothing, it makes nothing.
pub fn create_pod_namespaces(request: &PodNamespacesRequest) -> Result<PodNamespaces> {
    let _ = request;
    Err(Error::new(Kind::Unsupported, "not built yet"))
}

/// Opens a namespace by its path (`/run/netns/NAME`, `/proc/PID/ns/net`), and refuses a file that is none.
pub fn open_namespace(path: &Path) -> Result<OwnedFd> {
    let _ = path;
    Err(Error::new(Kind::Unsupported, "not built yet"))
}

/// Gives a network namespace a name in the file system (a bind mount on a new empty file), so that CNI plugins and
/// `ip netns` find it and it outlives every process. Makes the directory when it is missing. A path that exists is
/// refused with `AlreadyExists`.
pub fn pin_netns(netns: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let _ = (netns, path);
    Err(Error::new(Kind::Unsupported, "not built yet"))
}

/// Takes the name away. Absent is success.
pub fn unpin_netns(path: &Path) -> Result<()> {
    let _ = path;
    Err(Error::new(Kind::Unsupported, "not built yet"))
}
