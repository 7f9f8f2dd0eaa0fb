//! What containers and pods use of the node: CRI's stats.

mod container;
mod cores;
mod metrics;
mod network;
mod pod;
mod writable;

use wharf_cgroups::{Pressures, Stats};

pub(crate) use self::cores::Cores;
pub use self::{
    container::ContainerStats,
    metrics::{ContainerMetrics, Disk, OpenFiles, PodMetrics},
    network::InterfaceUsage,
    pod::PodStats,
    writable::WritableLayer,
};

/// What a control group uses at a moment.
#[derive(Clone, Debug, Default)]
pub struct GroupStats {
    /// Nanoseconds since 1970.
    pub at: i64,
    /// Processor time, memory, processes.
    pub usage: Stats,
    /// Processor time a second, nanoseconds: over the time since the last but one question, at least a second; at the
    /// first over all the time since the start.
    pub nano_cores: u64,
    /// How processes have waited, where the kernel counts that.
    pub pressures: Pressures,
}
