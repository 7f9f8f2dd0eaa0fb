use std::{sync::Arc, time::Duration};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::unpin_netns;
use wharf_shim_api::sandbox::{ShutdownSandboxRequest, ShutdownSandboxResponse};

use super::Stage;
use crate::{logs::now_nanos, operation::blocking, shim::Shim, task::remove_container};

/// How long the pod's cgroup may take to be empty.
const EMPTY: Duration = Duration::from_secs(5);

/// How long a container that is being made may take; the runtime gives up earlier.
const SETTLE: Duration = Duration::from_secs(40);

/// Ends everything of the pod, and then the shim.
pub async fn shutdown(shim: Arc<Shim>, request: ShutdownSandboxRequest) -> Result<ShutdownSandboxResponse> {
    take_down(&shim).await.step(|| format!("pod {}: shut down", request.sandbox_id))?;
    Ok(ShutdownSandboxResponse::default())
}

/// Kills and deletes the containers, removes pin and cgroup, and tells the server to end. Can be repeated
/// when it failed.
pub async fn take_down(shim: &Arc<Shim>) -> Result<()> {
    let _life = shim.life.lock().await;
    if let Some(sandbox) = shim.sandbox() {
        // No container is made from here on; one that is being made is waited for.
        sandbox.set_stage(Stage::Stopped(now_nanos()));
    }
    loop {
        for container in shim.containers() {
            remove_container(shim, &container).await?;
        }
        match tokio::time::timeout(SETTLE, shim.settled_empty()).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(_) => return Err(Error::new(Kind::DeadlineExceeded, "a container is still being made")),
        }
    }
    if let Some(sandbox) = shim.sandbox() {
        sandbox.end_init();
    }
    let last = shim.clone();
    blocking(move || {
        last.end_other()?;
        let record = last.record.get();
        point!("shim.shutdown.containers");
        if let Some(netns) = &record.netns {
            unpin_netns(netns)?;
        }
        point!("shim.shutdown.netns");
        if let Some(parent) = &record.cgroup_parent {
            last.hierarchies()?.open(parent)?.delete(EMPTY)?;
        }
        last.record.update(|record| (record.netns, record.cgroup_parent) = (None, None))
    })
    .await?;
    point!("shim.shutdown.recorded");
    shim.finished.notify_one();
    Ok(())
}
