use std::fmt;

/// One kind of resource that the kernel accounts and limits by cgroup.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Controller {
    /// Shares of and limits on processor time. In v2 also the accounting.
    Cpu,
    /// Accounting of processor time; v1 only.
    Cpuacct,
    /// Which processors and memory nodes may be used.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// Which device nodes may be opened; v1 only.
    Devices,
    /// Stopping and continuing all processes; v1 only.
    Freezer,
    /// Block I/O: `blkio` of v1, `io` of v2.
    Io,
    /// The number of processes and threads.
    Pids,
    /// Huge pages.
    Hugetlb,
    /// Handles and objects of RDMA devices.
    Rdma,
    /// A class for network packets; v1 only.
    NetCls,
    /// Priorities of network packets by interface; v1 only.
    NetPrio,
}

// === impl Controller ===

impl Controller {
    /// The controller that the kernel's name means, in either version; `None` for those we do not use.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "cpu" => Self::Cpu,
            "cpuacct" => Self::Cpuacct,
            "cpuset" => Self::Cpuset,
            "memory" => Self::Memory,
            "devices" => Self::Devices,
            "freezer" => Self::Freezer,
            "blkio" | "io" => Self::Io,
            "pids" => Self::Pids,
            "hugetlb" => Self::Hugetlb,
            "rdma" => Self::Rdma,
            "net_cls" => Self::NetCls,
            "net_prio" => Self::NetPrio,
            _ => return None,
        })
    }

    /// The name in v2's `cgroup.controllers`; `None` for what v2 does without a controller.
    pub(crate) fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Cpu => Some("cpu"),
            Self::Cpuset => Some("cpuset"),
            Self::Memory => Some("memory"),
            Self::Io => Some("io"),
            Self::Pids => Some("pids"),
            Self::Hugetlb => Some("hugetlb"),
            Self::Rdma => Some("rdma"),
            Self::Cpuacct | Self::Devices | Self::Freezer | Self::NetCls | Self::NetPrio => None,
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpuacct => "cpuacct",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::NetCls => "net_cls",
            Self::NetPrio => "net_prio",
            other => other.v2_name().unwrap_or("unknown"),
        })
    }
}
