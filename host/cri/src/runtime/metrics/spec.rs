use wharf_api::cri::LinuxContainerResources;

use super::{Family, Source, Value, gauge};

const NANOS: i64 = 1_000_000_000;

pub(super) const FAMILIES: &[Family] = &[
    gauge("container_last_seen", "Last time a container was seen by the exporter.", &[], |source| {
        Value::only(seconds(source.group.at))
    }),
    gauge("container_start_time_seconds", "Start time of the container since unix epoch in seconds.", &[], |source| {
        let started = source.container.map(|container| container.stats.container.started_at);
        started.map(|started| Value::only(seconds(started))).unwrap_or_default()
    }),
    gauge("container_spec_cpu_period", "CPU period of the container.", &[], |source| {
        limit(source, |limits| limits.cpu_period)
    }),
    gauge("container_spec_cpu_quota", "CPU quota of the container.", &[], |source| {
        limit(source, |limits| limits.cpu_quota)
    }),
    gauge("container_spec_cpu_shares", "CPU share of the container.", &[], |source| {
        limit(source, |limits| limits.cpu_shares)
    }),
    gauge("container_spec_memory_limit_bytes", "Memory limit for the container; 0: none.", &[], |source| {
        memory(source, |limits| limits.memory_limit_in_bytes)
    }),
    gauge(
        "container_spec_memory_swap_limit_bytes",
        "Limit of memory and swap together for the container; 0: none.",
        &[],
        |source| memory(source, |limits| limits.memory_swap_limit_in_bytes),
    ),
    gauge(
        "container_spec_memory_reservation_limit_bytes",
        "Memory that is kept for the container; 0: none.",
        &[],
        |source| {
            memory(source, |limits| limits.unified.get("memory.min").and_then(|min| min.parse().ok()).unwrap_or(0))
        },
    ),
];

fn seconds(nanos: i64) -> u64 {
    u64::try_from(nanos / NANOS).unwrap_or(0)
}

/// None where there is none.
fn limit(source: &Source<'_>, value: fn(&LinuxContainerResources) -> i64) -> Vec<Value> {
    let set = source.limits.map(value).and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    set.map(Value::only).unwrap_or_default()
}

/// Memory is always told, as cAdvisor does: 0 where there is no limit.
fn memory(source: &Source<'_>, value: fn(&LinuxContainerResources) -> i64) -> Vec<Value> {
    let limits = source.limits.map(value).map(|value| u64::try_from(value).unwrap_or(0));
    limits.map(Value::only).unwrap_or_default()
}
