use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    node::Node,
    pods::{container, ready, restarts, shell, sleeper, spec},
};

/// What a kubelet that comes back must have looked at all its pods by.
const SETTLED: Duration = Duration::from_secs(12);

pub fn kubelet_killed(node: &mut Node) -> Result<()> {
    node.add("stays", spec(vec![sleeper("main")]))?;
    let before = node.wait("stays", "ready", |pod| ready(pod, "main"))?;
    node.kubelet.kill()?;
    node.kubelet.start()?;
    same_container(node, "stays", &before)?;
    node.remove("stays")
}

pub fn daemon_killed(node: &mut Node) -> Result<()> {
    // A reference is not ours to kill.
    if node.daemon.is_none() {
        return Ok(());
    }
    let counts = shell("main", "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done");
    node.add("counts", spec(vec![counts]))?;
    let before = node.wait("counts", "ready", |pod| ready(pod, "main"))?;
    let daemon = node.daemon.as_mut().context("a daemon of ours")?;
    daemon.kill()?;
    std::thread::sleep(Duration::from_secs(2));
    daemon.launch()?;
    same_container(node, "counts", &before)?;
    let path = format!("/containerLogs/default/counts-{}/main", crate::kubelet::HOSTNAME);
    let log = node.client()?.fetch("GET", &path)?;
    let numbers: Vec<u64> = log.lines().filter_map(|line| line.parse().ok()).collect();
    ensure!(numbers.len() > 20, "the log has only {} lines", numbers.len());
    ensure!(numbers.iter().zip(1..).all(|(n, wanted)| *n == wanted), "a line is missing: {numbers:?}");
    // A pod that is taken away while there is no daemon is ended by the next.
    let daemon = node.daemon.as_mut().context("a daemon of ours")?;
    daemon.kill()?;
    node.remove("counts")?;
    std::thread::sleep(Duration::from_secs(2));
    node.daemon.as_mut().context("a daemon of ours")?.launch()
}

fn same_container(node: &Node, name: &str, before: &Value) -> Result<()> {
    node.wait(name, "ready again", |pod| ready(pod, "main"))?;
    std::thread::sleep(SETTLED);
    let after = node.wait(name, "still ready", |pod| ready(pod, "main"))?;
    let id = |pod: &Value| container(pod, "main")["containerID"].clone();
    ensure!(id(&after) == id(before), "another container: {} was {}", id(&after), id(before));
    ensure!(restarts(&after, "main") == 0, "it was restarted");
    ensure!(after["status"]["podIP"] == before["status"]["podIP"], "another address");
    Ok(())
}
