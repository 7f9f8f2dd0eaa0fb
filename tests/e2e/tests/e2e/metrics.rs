//! The metrics that the kubelet shows in cAdvisor's place.

use std::{collections::BTreeMap, time::Duration};

use wharf_api::cri::*;
use wharf_e2e::{Cri, Node};
use wharf_testkit::wait_for;

type Keys = BTreeMap<String, Vec<String>>;

fn keys(cri: &Cri) -> Keys {
    let mut client = cri.runtime();
    let told = cri.wait(client.list_metric_descriptors(ListMetricDescriptorsRequest {})).unwrap().into_inner();
    told.descriptors.into_iter().map(|one| (one.name, one.label_keys)).collect()
}

fn pods(cri: &Cri) -> Vec<PodSandboxMetrics> {
    let mut client = cri.runtime();
    cri.wait(client.list_pod_sandbox_metrics(ListPodSandboxMetricsRequest {})).unwrap().into_inner().pod_metrics
}

/// The values of a metric whose labels are these.
fn values(keys: &Keys, metrics: &[Metric], name: &str, labels: &[(&str, &str)]) -> Vec<u64> {
    let named = metrics.iter().filter(|metric| metric.name == name);
    let labelled = named.filter(|metric| {
        let own: BTreeMap<_, _> = keys[name].iter().zip(&metric.label_values).collect();
        labels.iter().all(|(key, value)| own.get(&(*key).to_owned()).is_some_and(|own| own == value))
    });
    labelled.map(|metric| metric.value.as_ref().unwrap().value).collect()
}

#[test]
fn metrics_are_what_their_descriptors_promise() {
    let Some(node) = Node::start() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let keys = keys(&cri);
    let pod = node.pod("metrics");
    let script = "exec 7</etc/passwd; head -c 2000000 /dev/zero > /written; sleep 1000 & while :; do :; done";
    let id = node.run_with(&pod, "busy", script, |config| {
        config["linux"]["resources"] =
            serde_json::json!({ "memory_limit_in_bytes": 104_857_600, "cpu_shares": 512, "cpu_quota": 50_000, "cpu_period": 100_000 });
    });
    let of = |metrics: &[Metric], name: &str, labels: &[(&str, &str)]| values(&keys, metrics, name, labels);
    let mut last = Vec::new();
    let there = wait_for(Duration::from_secs(60), || {
        last = pods(&cri);
        let Some(container) = last.first().and_then(|pod| pod.container_metrics.first()) else { return false };
        of(&container.metrics, "container_cpu_usage_seconds_total", &[("cpu", "total")]) >= vec![1]
            && of(&container.metrics, "container_fs_usage_bytes", &[])[0] >= 2_000_000
    });
    assert!(there, "{last:#?}");
    assert_eq!((last.len(), last[0].pod_sandbox_id.as_str()), (1, pod.id.as_str()));
    let container = &last[0].container_metrics[0];
    assert_eq!(container.container_id, id);

    for metric in last[0].metrics.iter().chain(&container.metrics) {
        let known = keys.get(&metric.name).unwrap_or_else(|| panic!("{} is not described", metric.name));
        assert_eq!(known.len(), metric.label_values.len(), "{metric:?}");
        assert!(metric.timestamp > 0 && metric.value.is_some(), "{metric:?}");
    }
    let labels: &[_] = &[
        ("id", id.as_str()),
        ("image", "images.test/busybox:1"),
        ("namespace", "tests"),
        ("pod", "metrics"),
        ("container", "busy"),
    ];
    let one = |name: &str| match of(&container.metrics, name, labels)[..] {
        [value] => value,
        ref other => panic!("{name}: {other:?}"),
    };
    assert_eq!(one("container_spec_memory_limit_bytes"), 104_857_600);
    assert_eq!((one("container_spec_cpu_shares"), one("container_spec_cpu_quota")), (512, 50_000));
    assert_eq!(one("container_processes"), 2);
    assert!(one("container_threads") >= 2 && one("container_file_descriptors") >= 4);
    assert!(one("container_memory_usage_bytes") > 0);
    assert!(one("container_memory_working_set_bytes") <= one("container_memory_usage_bytes"));
    assert!(one("container_memory_max_usage_bytes") >= one("container_memory_rss"));
    assert!(one("container_fs_limit_bytes") > 2_000_000);
    assert_eq!((one("container_oom_events_total"), one("container_memory_failcnt")), (0, 0));
    assert!(one("container_cpu_cfs_periods_total") > 0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now - one("container_start_time_seconds") < 600 && now - one("container_last_seen") < 60);
    let faults = of(
        &container.metrics,
        "container_memory_failures_total",
        &[("failure_type", "pgfault"), ("scope", "hierarchy")],
    );
    assert!(faults[0] > 0, "{faults:?}");

    // Of the pod: all of it together, under no container's name.
    let whole = of(&last[0].metrics, "container_memory_usage_bytes", &[("container", ""), ("pod", "metrics")]);
    assert!(whole[0] >= one("container_memory_usage_bytes"), "{whole:?}");
    node.ok(&["stop", "-t", "0", &id]);
    assert!(pods(&cri)[0].container_metrics.is_empty(), "what has ended uses nothing");

    let mut client = cri.runtime();
    let parts = cri.all(client.stream_pod_sandbox_metrics(StreamPodSandboxMetricsRequest {})).unwrap();
    let streamed: Vec<_> = parts.into_iter().flat_map(|part| part.pod_sandbox_metrics).collect();
    assert_eq!((streamed.len(), streamed[0].pod_sandbox_id.as_str()), (1, pod.id.as_str()));
    assert_eq!(self::keys(&cri), keys, "descriptors never change");
    node.finish();
}

#[test]
fn a_container_that_outgrew_its_memory_counts_it() {
    let Some(node) = Node::start() else { return };
    let cri = Cri::new(&node.daemon.socket());
    let keys = keys(&cri);
    let pod = node.pod("oom");
    node.run_with(&pod, "greedy", "head -c 100000000 /dev/zero | tail; exec sleep 1000", |config| {
        config["linux"]["resources"] = serde_json::json!({ "memory_limit_in_bytes": 16 << 20 });
    });
    let mut seen = (Vec::new(), Vec::new());
    let there = wait_for(Duration::from_secs(60), || {
        let pods = pods(&cri);
        let Some(container) = pods.first().and_then(|pod| pod.container_metrics.first()) else { return false };
        let of = |name: &str| values(&keys, &container.metrics, name, &[("container", "greedy")]);
        seen = (of("container_oom_events_total"), of("container_memory_failcnt"));
        // How often the limit was met is told, and stays 0 with kernels that have stopped to count it.
        seen.0[0] >= 1 && seen.1.len() == 1
    });
    assert!(there, "{seen:?}");
    node.finish();
}
