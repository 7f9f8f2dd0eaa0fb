use super::{Family, Source, Value, counter, gauge};

pub(super) const FAMILIES: &[Family] = &[
    gauge("container_memory_cache", "Number of bytes of page cache memory.", &[], |source| {
        Value::only(source.group.usage.memory.cache)
    }),
    gauge("container_memory_rss", "Size of RSS in bytes.", &[], |source| Value::only(source.group.usage.memory.rss)),
    gauge("container_memory_kernel_usage", "Size of kernel memory allocated in bytes.", &[], |source| {
        Value::only(source.detail.memory.kernel)
    }),
    gauge("container_memory_mapped_file", "Size of memory mapped files in bytes.", &[], |source| {
        Value::only(source.detail.memory.mapped_file)
    }),
    gauge("container_memory_swap", "Container swap usage in bytes.", &[], |source| {
        Value::only(source.group.usage.memory.swap_usage)
    }),
    counter("container_memory_failcnt", "Number of times memory usage has hit the limit.", &[], |source| {
        Value::only(source.detail.memory.limit_hits)
    }),
    gauge("container_memory_usage_bytes", "Current memory usage in bytes, page cache included.", &[], |source| {
        Value::only(source.group.usage.memory.usage)
    }),
    gauge("container_memory_max_usage_bytes", "Maximum memory usage recorded in bytes.", &[], |source| {
        Value::only(source.group.usage.memory.max_usage)
    }),
    gauge("container_memory_working_set_bytes", "Current working set in bytes.", &[], |source| {
        Value::only(source.group.usage.memory.working_set)
    }),
    gauge("container_memory_total_active_file_bytes", "Current total active file in bytes.", &[], |source| {
        Value::only(source.detail.memory.active_file)
    }),
    gauge("container_memory_total_inactive_file_bytes", "Current total inactive file in bytes.", &[], |source| {
        Value::only(source.detail.memory.inactive_file)
    }),
    gauge("container_memory_active_anon_bytes", "Current active anonymous memory in bytes.", &[], |source| {
        Value::only(source.detail.memory.active_anon)
    }),
    gauge("container_memory_inactive_anon_bytes", "Current inactive anonymous memory in bytes.", &[], |source| {
        Value::only(source.detail.memory.inactive_anon)
    }),
    counter(
        "container_memory_failures_total",
        "Cumulative count of page faults, and of those that waited for a disk.",
        &["failure_type", "scope"],
        failures,
    ),
    counter("container_oom_events_total", "Count of processes killed for want of memory.", &[], |source| {
        Value::only(source.detail.oom_kills)
    }),
    gauge("container_hugetlb_usage_bytes", "Current hugepage usage in bytes.", &["pagesize"], |source| {
        source.detail.hugepages.iter().map(|pages| Value::labelled([&pages.size], pages.usage)).collect()
    }),
    gauge("container_hugetlb_max_usage_bytes", "Maximum hugepage usage recorded in bytes.", &["pagesize"], |source| {
        let max = source.detail.hugepages.iter().filter_map(|pages| Some((&pages.size, pages.max_usage?)));
        max.map(|(size, max)| Value::labelled([size], max)).collect()
    }),
];

fn failures(source: &Source<'_>) -> Vec<Value> {
    let (all, own) = (&source.group.usage.memory, &source.detail.memory);
    vec![
        Value::labelled(["pgfault", "container"], own.own_page_faults),
        Value::labelled(["pgmajfault", "container"], own.own_major_page_faults),
        Value::labelled(["pgfault", "hierarchy"], all.page_faults),
        Value::labelled(["pgmajfault", "hierarchy"], all.major_page_faults),
    ]
}
