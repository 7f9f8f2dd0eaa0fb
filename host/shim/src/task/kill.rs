use std::sync::{Arc, PoisonError};

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::task::{Empty, KillRequest};

use crate::{container::Container, operation::blocking, shim::Shim};

/// Sends a signal to the container's first process, to all of its processes, to an exec, or to an exec and what it
/// started.
///
/// A process that has ended is `NotFound`, as the protocol has it.
pub async fn kill(shim: Arc<Shim>, request: KillRequest) -> Result<Empty> {
    let container = shim.container(&request.id)?;
    let signal = i32::try_from(request.signal).ok().filter(|signal| (1..=64).contains(signal));
    let signal = signal.ok_or_else(|| Error::invalid(format!("kill: no signal {}", request.signal)))?;
    let id = request.id.clone();
    let sent = if request.all && request.exec_id.is_empty() {
        blocking(move || container.runtime.kill_all(signal).unwrap_or_else(|| container.cgroup.kill(signal))).await
    } else if request.exec_id.is_empty() {
        init(container, signal).await
    } else {
        exec(container, request.exec_id, signal, request.all).await
    };
    sent.step(|| format!("container {id}: kill"))?;
    Ok(Empty::default())
}

async fn init(container: Arc<Container>, signal: i32) -> Result<()> {
    if container.init.exit().is_some() {
        return Err(container.init.finished());
    }
    blocking(move || container.runtime.kill(signal)).await
}

async fn exec(container: Arc<Container>, exec_id: String, signal: i32, all: bool) -> Result<()> {
    let exec = container.exec(&exec_id)?;
    if exec.process.exit().is_some() {
        return Err(exec.process.finished());
    }
    let runtime = exec.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match runtime {
        Some(runtime) => blocking(move || runtime.kill(signal, all)).await,
        None => Err(Error::new(Kind::FailedPrecondition, format!("exec {exec_id}: it has not started"))),
    }
}
