use std::sync::Arc;

use wharf_cgroups::Stats;
use wharf_error::Result;
use wharf_shim_api::{
    task::{
        StatsRequest, StatsResponse,
        metrics_v1::{CPUStat, CPUUsage, MemoryEntry, MemoryStat, Metrics, PidsStat, Throttle},
    },
    to_proto,
};

use crate::{operation::blocking, shim::Shim};

/// The package of containerd's metrics.
pub const METRICS: &str = "io.containerd.cgroups.v1";

/// What a container uses, in containerd's message for cgroup v1, whatever the node has.
pub async fn stats(shim: Arc<Shim>, request: StatsRequest) -> Result<StatsResponse> {
    let cgroup = shim.container(&request.id)?.cgroup.clone();
    let stats = blocking(move || cgroup.stats()).await?;
    Ok(StatsResponse { stats: Some(to_proto(METRICS, &metrics(&stats))?).into(), ..StatsResponse::default() })
}

/// Also for the pod's own cgroup.
pub fn metrics(stats: &Stats) -> Metrics {
    let cpu = CPUStat {
        usage: Some(CPUUsage {
            total: stats.cpu.total_ns,
            kernel: stats.cpu.system_ns,
            user: stats.cpu.user_ns,
            ..CPUUsage::default()
        })
        .into(),
        throttling: Some(Throttle {
            periods: stats.cpu.periods,
            throttled_periods: stats.cpu.throttled_periods,
            throttled_time: stats.cpu.throttled_ns,
            ..Throttle::default()
        })
        .into(),
        ..CPUStat::default()
    };
    let entry = |usage, max, limit| Some(MemoryEntry { usage, max, limit, ..MemoryEntry::default() }).into();
    let memory = MemoryStat {
        rss: stats.memory.rss,
        total_rss: stats.memory.rss,
        cache: stats.memory.cache,
        total_cache: stats.memory.cache,
        inactive_file: stats.memory.inactive_file,
        total_inactive_file: stats.memory.inactive_file,
        pg_fault: stats.memory.page_faults,
        total_pg_fault: stats.memory.page_faults,
        pg_maj_fault: stats.memory.major_page_faults,
        total_pg_maj_fault: stats.memory.major_page_faults,
        usage: entry(stats.memory.usage, stats.memory.max_usage, stats.memory.limit),
        swap: entry(
            stats.memory.usage.saturating_add(stats.memory.swap_usage),
            0,
            stats.memory.limit.saturating_add(stats.memory.swap_limit),
        ),
        ..MemoryStat::default()
    };
    // There, no limit is 0.
    let limit = if stats.pids.limit == u64::MAX { 0 } else { stats.pids.limit };
    let pids = PidsStat { current: stats.pids.current, limit, ..PidsStat::default() };
    Metrics { cpu: Some(cpu).into(), memory: Some(memory).into(), pids: Some(pids).into(), ..Metrics::default() }
}
