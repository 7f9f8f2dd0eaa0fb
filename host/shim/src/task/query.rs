use std::sync::Arc;

use wharf_error::Result;
use wharf_shim_api::{
    task::{ConnectRequest, ConnectResponse, PidsRequest, PidsResponse, ProcessInfo, StateRequest, StateResponse},
    timestamp,
};

use crate::{operation::blocking, shim::Shim};

/// Where a container, or an exec, stands.
pub async fn state(shim: &Shim, request: &StateRequest) -> Result<StateResponse> {
    let container = shim.settled_container(&request.id).await?;
    let process = container.process(&request.exec_id)?;
    let mut state = StateResponse {
        id: request.id.clone(),
        bundle: container.bundle.display().to_string(),
        pid: process.pid().unsigned_abs(),
        status: process.status(container.paused()).into(),
        stdin: process.stdio.stdin.clone(),
        stdout: process.stdio.stdout.clone(),
        stderr: process.stdio.stderr.clone(),
        terminal: process.stdio.terminal,
        exec_id: request.exec_id.clone(),
        ..StateResponse::default()
    };
    if let Some(exit) = process.exit() {
        state.exit_status = exit.status();
        state.exited_at = Some(timestamp(exit.at_nanos)).into();
    }
    Ok(state)
}

/// The processes of a container.
pub async fn pids(shim: Arc<Shim>, request: PidsRequest) -> Result<PidsResponse> {
    let cgroup = shim.container(&request.id)?.cgroup.clone();
    let pids = blocking(move || cgroup.pids()).await?;
    let info = |pid: i32| ProcessInfo { pid: pid.unsigned_abs(), ..ProcessInfo::default() };
    Ok(PidsResponse { processes: pids.into_iter().map(info).collect(), ..PidsResponse::default() })
}

/// Who we are; also for an id that we do not have.
pub fn connect(shim: &Shim, request: &ConnectRequest) -> ConnectResponse {
    ConnectResponse {
        shim_pid: std::process::id(),
        task_pid: shim.container(&request.id).map(|container| container.init.pid().unsigned_abs()).unwrap_or(0),
        version: "3".into(),
        ..ConnectResponse::default()
    }
}
