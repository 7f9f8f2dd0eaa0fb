//! What containers and pods use, in CRI's words.

use wharf_api::cri::{
    ContainerAttributes, ContainerStats, CpuUsage, FilesystemIdentifier, FilesystemUsage, IoUsage,
    LinuxPodSandboxStats, MemoryUsage, NetworkInterfaceUsage, NetworkUsage, PodSandboxAttributes, PodSandboxStats,
    ProcessUsage, PsiData, PsiStats, SwapUsage, UInt64Value,
};
use wharf_pods::{GroupStats, InterfaceUsage, PodStats, WritableLayer};

use super::convert;

/// A limit above is none: cgroup v1 says so with the largest multiple of a page.
const UNLIMITED: u64 = 1 << 62;

/// The interface that Kubernetes asks after.
const DEFAULT_INTERFACE: &str = "eth0";

pub(super) fn container(stats: wharf_pods::ContainerStats) -> ContainerStats {
    let wharf_pods::ContainerStats { container, group, writable } = stats;
    ContainerStats {
        attributes: Some(ContainerAttributes {
            metadata: Some(convert::container_metadata(&container)),
            id: container.id,
            labels: container.labels,
            annotations: container.annotations,
        }),
        cpu: Some(cpu(&group)),
        memory: Some(memory(&group)),
        writable_layer: writable.map(layer),
        swap: Some(swap(&group)),
        io: io(&group),
    }
}

pub(super) fn pod(stats: PodStats) -> PodSandboxStats {
    let PodStats { pod, group, interfaces, containers } = stats;
    let processes = ProcessUsage { timestamp: group.at, process_count: value(group.usage.pids.current) };
    let linux = LinuxPodSandboxStats {
        cpu: Some(cpu(&group)),
        memory: Some(memory(&group)),
        network: network(group.at, interfaces),
        process: Some(processes),
        containers: containers.into_iter().map(container).collect(),
        io: io(&group),
    };
    PodSandboxStats {
        attributes: Some(PodSandboxAttributes {
            metadata: Some(convert::pod_metadata(&pod)),
            id: pod.id,
            labels: pod.labels,
            annotations: pod.annotations,
        }),
        linux: Some(linux),
        windows: None,
    }
}

fn cpu(group: &GroupStats) -> CpuUsage {
    CpuUsage {
        timestamp: group.at,
        usage_core_nano_seconds: value(group.usage.cpu.total_ns),
        usage_nano_cores: value(group.nano_cores),
        psi: group.pressures.cpu.as_ref().map(psi),
    }
}

fn memory(group: &GroupStats) -> MemoryUsage {
    let memory = &group.usage.memory;
    MemoryUsage {
        timestamp: group.at,
        working_set_bytes: value(memory.working_set),
        available_bytes: left(memory.limit, memory.working_set),
        usage_bytes: value(memory.usage),
        rss_bytes: value(memory.rss),
        page_faults: value(memory.page_faults),
        major_page_faults: value(memory.major_page_faults),
        psi: group.pressures.memory.as_ref().map(psi),
    }
}

fn swap(group: &GroupStats) -> SwapUsage {
    let memory = &group.usage.memory;
    SwapUsage {
        timestamp: group.at,
        swap_available_bytes: left(memory.swap_limit, memory.swap_usage),
        swap_usage_bytes: value(memory.swap_usage),
    }
}

/// None where the kernel does not count it: it is all that there is.
fn io(group: &GroupStats) -> Option<IoUsage> {
    let pressure = group.pressures.io.as_ref()?;
    Some(IoUsage { timestamp: group.at, psi: Some(psi(pressure)) })
}

fn psi(pressure: &wharf_cgroups::Pressure) -> PsiStats {
    let data = |stall: &wharf_cgroups::Stall| PsiData {
        // CRI counts nanoseconds.
        total: stall.total_us.saturating_mul(1000),
        avg10: stall.avg10,
        avg60: stall.avg60,
        avg300: stall.avg300,
    };
    PsiStats { full: Some(data(&pressure.full)), some: Some(data(&pressure.some)) }
}

fn layer(layer: WritableLayer) -> FilesystemUsage {
    FilesystemUsage {
        timestamp: layer.at,
        fs_id: Some(FilesystemIdentifier { mountpoint: layer.path.to_string_lossy().into_owned() }),
        used_bytes: value(layer.bytes),
        inodes_used: value(layer.inodes),
    }
}

/// None on the node's network: its counters are not the pod's.
fn network(at: i64, interfaces: Vec<InterfaceUsage>) -> Option<NetworkUsage> {
    if interfaces.is_empty() {
        return None;
    }
    let mut all: Vec<_> = interfaces.into_iter().map(interface).collect();
    let default = all.iter().position(|interface| interface.name == DEFAULT_INTERFACE).map(|at| all.remove(at));
    Some(NetworkUsage { timestamp: at, default_interface: default, interfaces: all })
}

fn interface(usage: InterfaceUsage) -> NetworkInterfaceUsage {
    NetworkInterfaceUsage {
        name: usage.name,
        rx_bytes: value(usage.rx_bytes),
        rx_errors: value(usage.rx_errors),
        tx_bytes: value(usage.tx_bytes),
        tx_errors: value(usage.tx_errors),
    }
}

fn left(limit: u64, used: u64) -> Option<UInt64Value> {
    if limit >= UNLIMITED { None } else { value(limit.saturating_sub(used)) }
}

#[allow(clippy::unnecessary_wraps, reason = "every field of the messages is optional")]
fn value(value: u64) -> Option<UInt64Value> {
    Some(UInt64Value { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_where_there_is_a_limit() {
        assert_eq!(left(u64::MAX, 5), None);
        assert_eq!(left(0x7fff_ffff_ffff_f000, 5), None);
        assert_eq!(left(100, 30), value(70));
        assert_eq!(left(100, 130), value(0));
    }

    #[test]
    fn the_default_interface_stands_apart() {
        let named = |name: &str| InterfaceUsage { name: name.into(), rx_bytes: 1, ..InterfaceUsage::default() };
        let network = network(7, vec![named("eth1"), named("eth0")]).unwrap();
        assert_eq!(network.default_interface.unwrap().name, "eth0");
        assert_eq!(network.interfaces.len(), 1);
        assert!(super::network(7, Vec::new()).is_none());
    }
}
