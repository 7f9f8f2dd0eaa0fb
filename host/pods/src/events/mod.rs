//! What happens to pods and containers, told to whoever listens.

mod hub;
mod tell;

pub use self::hub::Events;
pub(crate) use self::hub::Hub;

use crate::{Container, Pod};

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// It was made.
    Created,
    /// Its processes can run: a pod is ready, a container's process was started.
    Started,
    /// It has ended, or it could not be started.
    Stopped,
    /// It is gone, and so is its record.
    Deleted,
}

/// Something that happened to a pod or container, and how its pod was right after.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To the container with this id, or to the pod where it is the pod's.
    pub id: String,
    /// Nanoseconds since 1970.
    pub at: i64,
    /// The pod. One that is gone is shown as it was last.
    pub pod: Pod,
    /// Its containers, in the order of their ids; without one that is gone.
    pub containers: Vec<Container>,
}
