use std::sync::{Arc, PoisonError};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::ExecRequest;
use wharf_shim_api::{
    TaskEvent,
    events::{TaskExecStarted, TaskStart},
    task::{StartRequest, StartResponse},
};

use crate::{
    container::{Container, Exec, join_beside},
    exit, io,
    operation::blocking,
    process::Stage,
    shim::Shim,
};

const SIGKILL: i32 = 9;

/// Starts the container's program, or runs an added exec.
pub async fn start(shim: Arc<Shim>, request: StartRequest) -> Result<StartResponse> {
    let container = shim.container(&request.id)?;
    let pid = if request.exec_id.is_empty() {
        start_init(&shim, &container).await?
    } else {
        let exec = container.exec(&request.exec_id)?;
        start_exec(&shim, &container, &exec).await?
    };
    Ok(StartResponse { pid: pid.unsigned_abs(), ..StartResponse::default() })
}

async fn start_init(shim: &Shim, container: &Arc<Container>) -> Result<i32> {
    let _life = container.life.lock().await;
    let init = &container.init;
    let _starting = init.starting.lock().await;
    expect_created(init.stage(), || format!("container {}", container.id))?;
    let runtime = container.runtime.clone();
    point!("shim.start-task.before");
    blocking(move || runtime.start()).await.step(|| format!("container {}", container.id))?;
    point!("shim.start-task.after");
    init.set_stage(Stage::Running);
    let pid = init.pid();
    let event = TaskStart { container_id: container.id.clone(), pid: pid.unsigned_abs(), ..TaskStart::default() };
    shim.events.publish(&TaskEvent::Start(event));
    Ok(pid)
}

/// Execs run side by side; only what concerns one exec is one at a time.
async fn start_exec(shim: &Arc<Shim>, container: &Arc<Container>, exec: &Arc<Exec>) -> Result<i32> {
    let process = &exec.process;
    let what = || format!("container {}: exec {}", container.id, process.exec_id);
    let _starting = process.starting.lock().await;
    expect_created(process.stage(), what)?;
    if container.init.stage() != Stage::Running || container.paused() {
        return Err(Error::new(Kind::FailedPrecondition, format!("{}: the container is not running", what())));
    }
    let spec = exec.spec.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(spec) = spec else {
        return Err(Error::new(Kind::FailedPrecondition, format!("{}: it has failed to start before", what())));
    };
    let exec_id = process.exec_id.clone();
    let (inside, streams, owner, logs) = (container.clone(), process.stdio.clone(), process.owner, shim.logs.clone());
    let (runtime, attached, ending) = blocking(move || {
        let size = spec.console_size().and_then(|size| {
            let (rows, columns) = (u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?);
            Some(wharf_runtime::TerminalSize { rows, columns })
        });
        let (stdio, attached) = io::open(&streams, owner, &logs, size)?;
        let cgroup = Some(join_beside(&inside.cgroup, inside.runtime.pid())?);
        let request = ExecRequest { process: &spec, stdio, cgroup };
        let runtime = inside.runtime.exec(&exec_id, request)?;
        for warning in runtime.warnings() {
            tracing::warn!(container = inside.id, warning, "exec");
        }
        let ending = runtime.ending()?;
        Ok((runtime, attached, ending))
    })
    .await
    .step(what)?;
    let (mut runtime, mut attached) = (runtime, attached);
    let pid = runtime.pid();
    process.set_pid(pid);
    let console = runtime.take_console();
    let runtime = Arc::new(runtime);
    *exec.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime.clone());
    process.set_stage(Stage::Running);
    let watched = exit::watch(shim, container, process, ending);
    let connected = console.map_or(Ok(()), |console| attached.connect_terminal(console, process.owner, &shim.logs));
    *process.attached() = Some(attached);
    // Whoever asked for it may have given up and forgotten it while it was being made.
    let wanted = container.exec(&process.exec_id).map(drop);
    if let Err(error) = watched.and(connected).and(wanted) {
        let _ = blocking(move || runtime.kill(SIGKILL, true)).await;
        return Err(error).step(what);
    }
    shim.events.publish(&TaskEvent::ExecStarted(TaskExecStarted {
        container_id: container.id.clone(),
        exec_id: process.exec_id.clone(),
        pid: pid.unsigned_abs(),
        ..TaskExecStarted::default()
    }));
    Ok(pid)
}

fn expect_created(stage: Stage, what: impl Fn() -> String) -> Result<()> {
    match stage {
        Stage::Created => Ok(()),
        Stage::Running => Err(Error::new(Kind::FailedPrecondition, format!("{}: it is running", what()))),
        Stage::Exited(_) => Err(Error::new(Kind::FailedPrecondition, format!("{}: it has exited", what()))),
    }
}
