use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use wharf_cgroups::{Hierarchies, Mode};
use wharf_pods::CgroupDriver;
use wharf_systemd::{Systemd, is_booted};

use crate::config::Config;

/// systemd answers in milliseconds, also at the machine's start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Refuses a driver that cannot work on this node, at the start and not at the first pod.
pub(super) async fn check(config: &Config) -> Result<()> {
    if config.cri.cgroup_driver == CgroupDriver::Cgroupfs {
        return Ok(());
    }
    let what = "cri.cgroup_driver = \"systemd\"";
    let instead = "set it to \"cgroupfs\", and the kubelet's cgroupDriver with it";
    ensure!(
        is_booted(),
        "{what}: systemd is not the first process of this node (/run/systemd/system is missing): {instead}"
    );
    let mode = tokio::task::spawn_blocking(Hierarchies::detect);
    let mode = mode.await?.context("look for the control groups")?.mode();
    ensure!(
        mode == Mode::V2,
        "{what}: it needs control groups v2 alone, and this node has v1: boot it with systemd.unified_cgroup_hierarchy=1, \
         or {instead}"
    );
    let version = Systemd::new(PATIENCE).version().await.with_context(|| what.to_owned())?;
    tracing::info!(version, "systemd makes the control groups of pods");
    Ok(())
}
