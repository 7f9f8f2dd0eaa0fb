use std::{sync::Arc, time::Duration};

use wharf_error::{Error, Kind, Result};
use wharf_shim_api::{
    TaskEvent,
    events::{TaskPaused, TaskResumed},
    task::Empty,
};

use crate::{operation::blocking, process::Stage, shim::Shim};

/// How long all processes may take to stand.
const FREEZE: Duration = Duration::from_secs(10);

/// Stops all processes of a running container.
pub async fn pause(shim: Arc<Shim>, id: String) -> Result<Empty> {
    let container = shim.container(&id)?;
    let _life = container.life.lock().await;
    if container.init.stage() != Stage::Running {
        return Err(Error::new(Kind::FailedPrecondition, format!("container {id}: pause: it is not running")));
    }
    let paused = container.clone();
    blocking(move || paused.runtime.set_paused(true).unwrap_or_else(|| paused.cgroup.freeze(FREEZE))).await?;
    container.set_paused(true);
    shim.events.publish(&TaskEvent::Paused(TaskPaused { container_id: id, ..TaskPaused::default() }));
    Ok(Empty::default())
}

/// Lets them run on.
pub async fn resume(shim: Arc<Shim>, id: String) -> Result<Empty> {
    let container = shim.container(&id)?;
    let _life = container.life.lock().await;
    if !container.paused() {
        return Err(Error::new(Kind::FailedPrecondition, format!("container {id}: resume: it is not paused")));
    }
    let resumed = container.clone();
    blocking(move || resumed.runtime.set_paused(false).unwrap_or_else(|| resumed.cgroup.thaw())).await?;
    container.set_paused(false);
    shim.events.publish(&TaskEvent::Resumed(TaskResumed { container_id: id, ..TaskResumed::default() }));
    Ok(Empty::default())
}
