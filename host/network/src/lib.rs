//! Networks of pods by CNI, versions 0.1.0 to 1.1.0 of its specification.
//!
//! [`Networks`] is the one way in. It reads the node's configuration and notices when that changes, attaches a pod to
//! every configured network ([`Networks::attach`]) and detaches it ([`Networks::detach`]).
//!
//! * **Exactly once.** A row says what is about to be attached before the first plugin runs, with the configuration and
//!   every argument: what ADD was asked with is what DEL is asked with, although the daemon was killed, the machine
//!   started anew or the configuration changed in between. The row goes when every plugin has said that it is done.
//! * **A plugin is somebody else's program.** It has a deadline and is ended with all its children; what it prints is
//!   bounded; what it says is shown to people with its name, the verb and the network.
//! * **A namespace has a name.** Plugins get `/run/netns/…`, never a path by process id, which may be another pod's
//!   by the time of a DEL.
#![forbid(unsafe_code)]

mod attachment;
mod bandwidth;
mod conf;
mod config;
mod networks;
mod pinned;
mod plugin;
mod request;
mod result;
mod status;
mod verb;
mod version;

pub use self::{
    bandwidth::Bandwidth,
    config::{Family, Mode, NetworkConfig},
    networks::Networks,
    pinned::is_pinned,
    request::{Dns, NetworkRequest, PodName, PortMapping, Protocol},
    status::NetworkStatus,
};
