use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use wharf_testkit::wait_for;

use crate::{
    kubelet::{HOSTNAME, StatsFrom},
    node::Node,
    pods::{container, restarts, runs, shell, spec},
};

const COUNTED: Duration = Duration::from_secs(60);

pub fn limits(node: &mut Node) -> Result<()> {
    let mut limited = shell(
        "main",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; \
         trap 'exit 0' TERM; while :; do sleep 0.2; done",
    );
    limited["resources"] = json!({
        "limits": { "memory": "64Mi", "cpu": "500m" }, "requests": { "memory": "32Mi", "cpu": "100m" },
    });
    // A shell that doubles a string until there is no more.
    let mut hungry = shell("hungry", "sleep 1; x=0123456789; while :; do x=$x$x; done");
    hungry["resources"] = json!({ "limits": { "memory": "24Mi" } });
    node.add("limits", spec(vec![limited, hungry]))?;
    node.wait("limits", "running", |pod| runs(pod, "main"))?;
    let log = logs(node, "limits", "main")?;
    ensure!(log.contains("67108864"), "the limit that the container sees is {log:?}");
    let killed = |pod: &Value| {
        ["state", "lastState"]
            .iter()
            .any(|state| container(pod, "hungry")[state]["terminated"]["reason"] == "OOMKilled")
    };
    let pod = node.wait("limits", "OOMKilled", killed)?;
    ensure!(restarts(&pod, "main") == 0, "the container beside it was restarted");
    node.remove("limits")
}

pub fn stats_by_cri(node: &mut Node) -> Result<()> {
    stats(node)
}

pub fn stats_by_cadvisor(node: &mut Node) -> Result<()> {
    restart(node, StatsFrom::Cadvisor(node.containerd.clone()))?;
    let told = stats(node).and_then(|()| node.no_pods());
    // The next scenario has the same kubelet as the others, whatever came of this one.
    restart(node, StatsFrom::Cri)?;
    told
}

fn restart(node: &mut Node, stats: StatsFrom) -> Result<()> {
    node.kubelet.kill()?;
    node.kubelet.stats = stats;
    node.kubelet.start()
}

fn stats(node: &Node) -> Result<()> {
    let busy = shell(
        "main",
        "trap 'exit 0' TERM; while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.1; done",
    );
    node.add("stats", spec(vec![busy]))?;
    node.wait("stats", "running", |pod| runs(pod, "main"))?;
    let mut last = Value::Null;
    let counted = wait_for(COUNTED, || {
        let Ok(summary) = node.get("/stats/summary") else { return false };
        let pods = summary["pods"].as_array().cloned().unwrap_or_default();
        last = pods.into_iter().find(|pod| pod["podRef"]["name"] == format!("stats-{HOSTNAME}")).unwrap_or_default();
        let main = &last["containers"][0];
        main["name"] == "main"
            && positive(&main["memory"]["workingSetBytes"])
            && positive(&main["cpu"]["usageCoreNanoSeconds"])
            && positive(&last["cpu"]["usageCoreNanoSeconds"])
            && last["network"]["rxBytes"].is_u64()
    });
    ensure!(counted, "/stats/summary says of the pod {last}");
    let mut lines = String::new();
    let named = wait_for(COUNTED, || {
        let Ok(page) = node.text("/metrics/cadvisor") else { return false };
        lines = page.lines().filter(|line| line.contains("stats-")).collect::<Vec<_>>().join("\n");
        let has = |start: &str, label: &str| lines.lines().any(|l| l.starts_with(start) && l.contains(label));
        has("container_cpu_usage_seconds_total{", "container=\"main\"")
            && has("container_memory_working_set_bytes{", "container=\"main\"")
            && has("container_network_receive_bytes_total{", &format!("pod=\"stats-{HOSTNAME}\""))
    });
    ensure!(named, "/metrics/cadvisor says of the pod:\n{lines}");
    node.remove("stats")
}

fn positive(value: &Value) -> bool {
    value.as_u64().is_some_and(|n| n > 0)
}

fn logs(node: &Node, pod: &str, container: &str) -> Result<String> {
    let client = node.client()?;
    let path = format!("/containerLogs/default/{pod}-{HOSTNAME}/{container}");
    let mut text = String::new();
    wait_for(Duration::from_secs(20), || {
        text = client.fetch("GET", &path).unwrap_or_default();
        !text.is_empty()
    });
    ensure!(!text.is_empty(), "{path} stays empty");
    Ok(text)
}
