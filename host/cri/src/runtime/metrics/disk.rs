use std::fs;

use wharf_cgroups::DeviceIo;
use wharf_pods::Disk;

use super::{Family, Source, Value, counter, gauge};

pub(super) const FAMILIES: &[Family] = &[
    gauge("container_fs_inodes_free", "Number of available inodes of the file system.", &["device"], |source| {
        of_disk(source, |disk| disk.free_inodes)
    }),
    gauge("container_fs_inodes_total", "Number of inodes of the file system.", &["device"], |source| {
        of_disk(source, |disk| disk.inodes)
    }),
    gauge(
        "container_fs_limit_bytes",
        "Number of bytes that can be consumed by the container on this file system.",
        &["device"],
        |source| of_disk(source, |disk| disk.bytes),
    ),
    gauge(
        "container_fs_usage_bytes",
        "Number of bytes that are consumed by the container on this file system.",
        &["device"],
        |source| {
            let layer = source.container.and_then(|container| container.stats.writable.as_ref());
            layer.map(|layer| of_disk(source, |_| layer.bytes)).unwrap_or_default()
        },
    ),
    counter("container_fs_reads_bytes_total", "Cumulative count of bytes read.", &["device"], |source| {
        by_device(source, |io| io.read_bytes)
    }),
    counter("container_fs_reads_total", "Cumulative count of reads completed.", &["device"], |source| {
        by_device(source, |io| io.reads)
    }),
    counter("container_fs_writes_bytes_total", "Cumulative count of bytes written.", &["device"], |source| {
        by_device(source, |io| io.write_bytes)
    }),
    counter("container_fs_writes_total", "Cumulative count of writes completed.", &["device"], |source| {
        by_device(source, |io| io.writes)
    }),
    counter(
        "container_blkio_device_usage_total",
        "Bytes read and written by device.",
        &["device", "major", "minor", "operation"],
        usage,
    ),
];

/// None for a pod: it has no file system of its own.
fn of_disk(source: &Source<'_>, value: impl Fn(&Disk) -> u64) -> Vec<Value> {
    let disk = source.container.and_then(|container| container.disk.as_ref());
    disk.map(|disk| Value::labelled([&disk.device], value(disk))).into_iter().collect()
}

fn by_device(source: &Source<'_>, value: fn(&DeviceIo) -> u64) -> Vec<Value> {
    source.detail.devices.iter().map(|io| Value::labelled([&device(io)], value(io))).collect()
}

fn usage(source: &Source<'_>) -> Vec<Value> {
    let both = |io: &DeviceIo| {
        let (device, major, minor) = (device(io), io.major.to_string(), io.minor.to_string());
        [("Read", io.read_bytes), ("Write", io.write_bytes)]
            .map(|(operation, bytes)| Value::labelled([&device, &major, &minor, operation], bytes))
    };
    source.detail.devices.iter().flat_map(both).collect()
}

/// The node of a block device, or its numbers where it is gone.
fn device(io: &DeviceIo) -> String {
    let known = fs::read_to_string(format!("/sys/dev/block/{}:{}/uevent", io.major, io.minor)).unwrap_or_default();
    let name = known.lines().find_map(|line| line.strip_prefix("DEVNAME="));
    name.map_or_else(|| format!("{}:{}", io.major, io.minor), |name| format!("/dev/{name}"))
}
