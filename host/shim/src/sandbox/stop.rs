use std::{sync::Arc, time::Duration};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::sandbox::{StopSandboxRequest, StopSandboxResponse};

use super::{Stage, find};
use crate::{logs::now_nanos, operation::blocking, shim::Shim};

/// How long killed containers may take to end when the caller does not say.
const DEFAULT_END: Duration = Duration::from_secs(10);

/// Kills all containers and waits for their ends. A pod that has stopped is success.
pub async fn stop(shim: Arc<Shim>, request: StopSandboxRequest) -> Result<StopSandboxResponse> {
    let _life = shim.life.lock().await;
    let sandbox = find(&shim, &request.sandbox_id)?;
    let end = match request.timeout_secs {
        0 => DEFAULT_END,
        seconds => Duration::from_secs(u64::from(seconds)),
    };
    let killed = kill_all(&shim, end).await;
    point!("shim.stop.killed");
    killed.step(|| format!("pod {}: stop", request.sandbox_id))?;
    sandbox.set_stage(Stage::Stopped(now_nanos()));
    Ok(StopSandboxResponse::default())
}

async fn kill_all(shim: &Shim, end: Duration) -> Result<()> {
    let containers = shim.containers();
    for container in &containers {
        if container.init.exit().is_none() {
            let container = container.clone();
            blocking(move || container.end()).await?;
        }
    }
    let all = async {
        for container in &containers {
            container.init.wait().await?;
        }
        Ok(())
    };
    match tokio::time::timeout(end, all).await {
        Ok(ended) => ended,
        Err(_) => Err(Error::new(Kind::DeadlineExceeded, format!("killed containers have not ended within {end:?}"))),
    }
}
