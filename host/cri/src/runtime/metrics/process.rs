use wharf_pods::OpenFiles;

use super::{Family, Source, Value, gauge};

pub(super) const FAMILIES: &[Family] = &[
    gauge("container_processes", "Number of processes running inside the container.", &[], |source| {
        Value::only(source.detail.processes)
    }),
    gauge("container_threads", "Number of threads running inside the container.", &[], |source| {
        Value::only(source.group.usage.pids.current)
    }),
    gauge(
        "container_threads_max",
        "Maximum number of threads allowed inside the container, infinity if value is zero.",
        &[],
        |source| {
            let limit = source.group.usage.pids.limit;
            Value::only(if limit == u64::MAX { 0 } else { limit })
        },
    ),
    gauge("container_file_descriptors", "Number of open file descriptors for the container.", &[], |source| {
        open(source).map(|open| Value::only(open.files)).unwrap_or_default()
    }),
    gauge("container_sockets", "Number of open sockets for the container.", &[], |source| {
        open(source).map(|open| Value::only(open.sockets)).unwrap_or_default()
    }),
    gauge(
        "container_ulimits_soft",
        "Soft ulimit values of the container's first process; none where there is no limit.",
        &["ulimit"],
        |source| {
            let limit = open(source).and_then(|open| open.limit);
            limit.map(|limit| Value::labelled(["max_open_files"], limit)).into_iter().collect()
        },
    ),
];

fn open<'a>(source: &Source<'a>) -> Option<&'a OpenFiles> {
    source.container.map(|container| &container.open)
}
