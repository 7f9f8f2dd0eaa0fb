use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::{
    TaskEvent,
    events::TaskDelete,
    task::{DeleteRequest, DeleteResponse},
    timestamp,
};

use crate::{
    container::Container,
    logs::now_nanos,
    operation::blocking,
    process::{Exit, Process, Stage},
    shim::Shim,
};

/// How long a killed process may take to end.
const END: Duration = Duration::from_secs(10);

/// How long its cgroup may take to be empty then.
const EMPTY: Duration = Duration::from_secs(10);

/// Forgets a container or an exec that has ended, or was never started, and returns how it ended.
pub async fn delete(shim: Arc<Shim>, request: DeleteRequest) -> Result<DeleteResponse> {
    let container = shim.container(&request.id)?;
    let (process, exit) = if request.exec_id.is_empty() {
        let exit = init(&shim, &container).await?;
        (container.init.clone(), exit)
    } else {
        exec(&shim, &container, &request.exec_id).await?
    };
    Ok(DeleteResponse {
        pid: process.pid().unsigned_abs(),
        exit_status: exit.status(),
        exited_at: Some(timestamp(exit.at_nanos)).into(),
        ..DeleteResponse::default()
    })
}

/// Ends a container whatever its state and takes everything of it away.
pub async fn remove(shim: &Arc<Shim>, container: &Arc<Container>) -> Result<Exit> {
    let _life = container.life.lock().await;
    take_away(shim, container).await
}

async fn init(shim: &Arc<Shim>, container: &Arc<Container>) -> Result<Exit> {
    let _life = container.life.lock().await;
    if container.init.stage() == Stage::Running {
        let what = format!("container {}: delete: it is running", container.id);
        return Err(Error::new(Kind::FailedPrecondition, what));
    }
    take_away(shim, container).await
}

async fn take_away(shim: &Arc<Shim>, container: &Arc<Container>) -> Result<Exit> {
    let what = || format!("container {}: delete", container.id);
    // Whatever the first process left behind, and the first process itself when it never started.
    let ended = container.clone();
    blocking(move || ended.end()).await.step(what)?;
    let exit = match tokio::time::timeout(END, container.init.wait()).await {
        Ok(exit) => exit.step(what)?,
        Err(_) => {
            let what = format!("{}: process {} does not end", what(), container.init.pid());
            return Err(
                Error::new(Kind::DeadlineExceeded, what).hint("it waits in the kernel: look at /proc/PID/stack")
            );
        }
    };
    let owners: Vec<u64> = container.execs().values().map(|exec| exec.process.owner).collect();
    for owner in owners.into_iter().chain([container.init.owner]) {
        shim.logs.remove(owner);
    }
    let (shim_too, gone) = (shim.clone(), container.clone());
    let id = container.id.clone();
    point!("shim.delete.killed");
    blocking(move || {
        gone.runtime.forget()?;
        gone.cgroup.delete(EMPTY)?;
        point!("shim.delete.cgroup");
        for failure in gone.runtime.run_poststop() {
            tracing::warn!(container = gone.id, failure, "hook");
        }
        shim_too.forget_record(&id, &gone.bundle)
    })
    .await
    .step(what)?;
    point!("shim.delete.recorded");
    container.init.attached().take();
    shim.forget(&container.id);
    publish(shim, container, &container.init, exit);
    Ok(exit)
}

async fn exec(shim: &Shim, container: &Container, exec_id: &str) -> Result<(Arc<Process>, Exit)> {
    let exec = container.exec(exec_id)?;
    let process = exec.process.clone();
    let exit = match process.stage() {
        Stage::Exited(exit) => exit,
        Stage::Created => Exit { code: 0, at_nanos: now_nanos() },
        Stage::Running => {
            let what = format!("container {}: delete exec {exec_id}: it is running", container.id);
            return Err(Error::new(Kind::FailedPrecondition, what));
        }
    };
    let executed = exec.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(executed) = executed {
        blocking(move || executed.forget())
            .await
            .step(|| format!("container {}: delete exec {exec_id}", container.id))?;
    }
    container.execs().remove(exec_id);
    shim.logs.remove(process.owner);
    process.attached().take();
    publish(shim, container, &process, exit);
    Ok((process, exit))
}

fn publish(shim: &Shim, container: &Container, process: &Process, exit: Exit) {
    let id = if process.exec_id.is_empty() { &container.id } else { &process.exec_id };
    shim.events.publish(&TaskEvent::Delete(TaskDelete {
        container_id: container.id.clone(),
        id: id.clone(),
        pid: process.pid().unsigned_abs(),
        exit_status: exit.status(),
        exited_at: Some(timestamp(exit.at_nanos)).into(),
        ..TaskDelete::default()
    }));
}
