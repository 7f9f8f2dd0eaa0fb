//! What is judged, one kind a file. Each begins and ends on a node without pods.

mod life;
mod network;
mod resources;
mod streams;
mod survival;
mod volumes;

use anyhow::Result;

use crate::node::Node;

type Scenario = fn(&mut Node) -> Result<()>;

/// In the order in which they are run.
pub const SCENARIOS: &[(&str, Scenario)] = &[
    ("a pod runs, has an address, and goes", life::runs_and_goes),
    ("init containers run one after the other, then the rest", life::init_containers),
    ("a sidecar outlives init and ends last", life::sidecar),
    ("a failing container is started again, later each time", life::restarts_again),
    ("a pod that has done its work is Succeeded, and stays so", life::succeeds),
    ("probes make ready, and restart what does not answer", life::probes),
    ("a pod is told to end, by hook and signal, before it is killed", life::graceful_end),
    ("limits hold, and what eats too much is OOMKilled", resources::limits),
    ("stats and metrics by CRI carry names, memory, processor and network", resources::stats_by_cri),
    ("stats and metrics by cAdvisor carry them too", resources::stats_by_cadvisor),
    ("a host port leads to the pod, and is free after it", network::host_port),
    ("name, hosts and resolver are what the pod asks", network::names),
    ("logs, commands and their exit codes come through the kubelet", streams::logs_and_exec),
    ("volumes, environment and security are what the pod asks", volumes::volumes_and_users),
    ("a kubelet that was killed finds its pods, nothing is restarted", survival::kubelet_killed),
    ("a daemon that was killed loses nothing", survival::daemon_killed),
];
