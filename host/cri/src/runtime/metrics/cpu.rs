use wharf_cgroups::{Pressure, Stall};

use super::{Family, Source, Value, counter};

const NANOS: u64 = 1_000_000_000;
const MICROS: u64 = 1_000_000;

pub(super) const FAMILIES: &[Family] = &[
    counter("container_cpu_user_seconds_total", "Cumulative user CPU time consumed in seconds.", &[], |source| {
        Value::only(source.group.usage.cpu.user_ns / NANOS)
    }),
    counter("container_cpu_system_seconds_total", "Cumulative system CPU time consumed in seconds.", &[], |source| {
        Value::only(source.group.usage.cpu.system_ns / NANOS)
    }),
    counter("container_cpu_usage_seconds_total", "Cumulative CPU time consumed in seconds.", &["cpu"], |source| {
        vec![Value::labelled(["total"], source.group.usage.cpu.total_ns / NANOS)]
    }),
    counter("container_cpu_cfs_periods_total", "Periods of the CPU quota that have passed.", &[], |source| {
        Value::only(source.group.usage.cpu.periods)
    }),
    counter(
        "container_cpu_cfs_throttled_periods_total",
        "Periods of the CPU quota in which it ran out.",
        &[],
        |source| Value::only(source.group.usage.cpu.throttled_periods),
    ),
    counter(
        "container_cpu_cfs_throttled_seconds_total",
        "Total time the container was throttled, in seconds.",
        &[],
        |source| Value::only(source.group.usage.cpu.throttled_ns / NANOS),
    ),
    counter(
        "container_pressure_cpu_stalled_seconds_total",
        "Total time no task could make progress for want of a CPU, in seconds.",
        &[],
        |source| seconds(source.group.pressures.cpu.as_ref(), |pressure| &pressure.full),
    ),
    counter(
        "container_pressure_cpu_waiting_seconds_total",
        "Total time tasks waited for a CPU, in seconds.",
        &[],
        |source| seconds(source.group.pressures.cpu.as_ref(), |pressure| &pressure.some),
    ),
    counter(
        "container_pressure_memory_stalled_seconds_total",
        "Total time no task could make progress for want of memory, in seconds.",
        &[],
        |source| seconds(source.group.pressures.memory.as_ref(), |pressure| &pressure.full),
    ),
    counter(
        "container_pressure_memory_waiting_seconds_total",
        "Total time tasks waited for memory, in seconds.",
        &[],
        |source| seconds(source.group.pressures.memory.as_ref(), |pressure| &pressure.some),
    ),
    counter(
        "container_pressure_io_stalled_seconds_total",
        "Total time no task could make progress for want of I/O, in seconds.",
        &[],
        |source: &Source<'_>| seconds(source.group.pressures.io.as_ref(), |pressure| &pressure.full),
    ),
    counter(
        "container_pressure_io_waiting_seconds_total",
        "Total time tasks waited for I/O, in seconds.",
        &[],
        |source| seconds(source.group.pressures.io.as_ref(), |pressure| &pressure.some),
    ),
];

/// None where the kernel does not count it.
fn seconds(pressure: Option<&Pressure>, which: fn(&Pressure) -> &Stall) -> Vec<Value> {
    pressure.map(|pressure| Value::only(which(pressure).total_us / MICROS)).unwrap_or_default()
}
