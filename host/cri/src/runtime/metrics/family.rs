use wharf_api::cri::{Metric, MetricDescriptor, MetricType, UInt64Value};
use wharf_cgroups::Detail;
use wharf_pods::{ContainerMetrics, GroupStats, InterfaceUsage, PodMetrics};

use super::{Labels, cpu, disk, labels, memory, network, process, spec};

/// One metric, for each label value that it is told apart by.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
    /// Labels beyond those that all have.
    pub(super) labels: &'static [&'static str],
    pub(super) values: fn(&Source<'_>) -> Vec<Value>,
}

/// What a family reads. A pod has interfaces; a container has what only a container has.
pub(super) struct Source<'a> {
    pub(super) group: &'a GroupStats,
    pub(super) detail: &'a Detail,
    pub(super) interfaces: &'a [InterfaceUsage],
    pub(super) container: Option<&'a ContainerMetrics>,
    /// Its limits, where it has some.
    pub(super) limits: Option<&'a wharf_api::cri::LinuxContainerResources>,
}

/// A value, and the values of the family's own labels.
pub(super) struct Value {
    pub(super) labels: Vec<String>,
    pub(super) value: u64,
}

pub(super) const fn counter(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    values: fn(&Source<'_>) -> Vec<Value>,
) -> Family {
    Family { name, help, kind: MetricType::Counter, labels, values }
}

pub(super) const fn gauge(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    values: fn(&Source<'_>) -> Vec<Value>,
) -> Family {
    Family { name, help, kind: MetricType::Gauge, labels, values }
}

/// Every family, always the same.
pub(crate) fn descriptors() -> Vec<MetricDescriptor> {
    let describe = |family: &Family| MetricDescriptor {
        name: family.name.to_owned(),
        help: family.help.to_owned(),
        label_keys: labels::KEYS.iter().chain(family.labels).map(|key| (*key).to_owned()).collect(),
    };
    families().map(describe).collect()
}

/// The metrics of a container, or without one of the pod's own control group and network.
pub(crate) fn all<'a>(
    pod: &'a PodMetrics,
    container: Option<&'a ContainerMetrics>,
    limits: Option<&'a wharf_api::cri::LinuxContainerResources>,
    labels: &Labels,
) -> Vec<Metric> {
    let source = match container {
        Some(container) => Source {
            group: &container.stats.group,
            detail: &container.detail,
            interfaces: &[],
            container: Some(container),
            limits,
        },
        None => Source {
            group: &pod.stats.group,
            detail: &pod.detail,
            interfaces: &pod.stats.interfaces,
            container: None,
            limits,
        },
    };
    let metric = |family: &Family, value: Value| Metric {
        name: family.name.to_owned(),
        timestamp: source.group.at,
        metric_type: family.kind.into(),
        label_values: labels.values().into_iter().chain(value.labels).collect(),
        value: Some(UInt64Value { value: value.value }),
    };
    families()
        .flat_map(|family| (family.values)(&source).into_iter().map(move |value| (family, value)))
        .map(|(family, value)| metric(family, value))
        .collect()
}

fn families() -> impl Iterator<Item = &'static Family> {
    [cpu::FAMILIES, memory::FAMILIES, disk::FAMILIES, network::FAMILIES, process::FAMILIES, spec::FAMILIES]
        .into_iter()
        .flatten()
}

// === impl Value ===

impl Value {
    /// The only value of a family without labels of its own.
    pub(super) fn only(value: u64) -> Vec<Self> {
        vec![Self { labels: Vec::new(), value }]
    }

    pub(super) fn labelled<const N: usize>(labels: [&str; N], value: u64) -> Self {
        Self { labels: labels.map(str::to_owned).into(), value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_tell_what_they_count() {
        let mut names = BTreeSet::new();
        for family in families() {
            assert!(names.insert(family.name), "{}", family.name);
            assert!(family.name.starts_with("container_") && !family.help.is_empty(), "{}", family.name);
            // cAdvisor's name for how many there can be; who reads it looks for this one.
            if family.kind == MetricType::Gauge && family.name != "container_fs_inodes_total" {
                assert!(!family.name.ends_with("_total"), "{}", family.name);
            }
        }
        for known in [
            "container_cpu_usage_seconds_total",
            "container_memory_working_set_bytes",
            "container_network_receive_bytes_total",
            "container_fs_usage_bytes",
            "container_oom_events_total",
            "container_pressure_io_stalled_seconds_total",
            "container_start_time_seconds",
        ] {
            assert!(names.contains(known), "{known}");
        }
    }
}
