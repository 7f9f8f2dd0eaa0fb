//! Waits for a process's end and reports it: last output, record, state, events, in this order.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use tokio::io::{Interest, unix::AsyncFd};
use wharf_crash_points::point;
use wharf_error::{Result, ResultExt as _};
use wharf_shim_api::{ExitRecord, TaskEvent, events::TaskExit, timestamp};

use crate::{
    container::Container,
    engine::Ending,
    io::{self, Attached},
    logs::now_nanos,
    operation::blocking,
    process::{Exit, Process, Stage},
    shim::Shim,
};

const SIGKILL: i32 = 9;

/// How long an exit waits for a terminal's last output to reach its reader.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// The code of an end that could not be seen.
const LOST: i32 = 255;

/// Watches a process from now on. To be called while the reaper is busy, so that nobody else reaps a child.
///
/// A child that cannot be watched counts as ended; the caller kills it.
pub fn watch(shim: &Arc<Shim>, container: &Arc<Container>, process: &Arc<Process>, ending: Ending) -> Result<()> {
    let pidfd = match ending {
        Ending::Child(pidfd) => pidfd,
        Ending::Told(told) => {
            let (shim, container, process) = (shim.clone(), container.clone(), process.clone());
            tokio::spawn(async move {
                let exit = Exit { code: told.wait().await, at_nanos: now_nanos() };
                other_ended(&shim, &container, &process).await;
                report(&shim, &container, &process, exit).await;
            });
            return Ok(());
        }
    };
    shim.reaper.expect(process.pid());
    let pidfd = match io::watch(pidfd, Interest::READABLE) {
        Ok(pidfd) => pidfd,
        Err(error) => {
            process.set_stage(Stage::Exited(Exit { code: LOST, at_nanos: now_nanos() }));
            return Err(error).step(|| "watch a process".into());
        }
    };
    let (shim, container, process) = (shim.clone(), container.clone(), process.clone());
    tokio::spawn(async move {
        let code = ended(&shim, &process, pidfd).await;
        report(&shim, &container, &process, Exit { code, at_nanos: now_nanos() }).await;
    });
    Ok(())
}

async fn ended(shim: &Shim, process: &Process, pidfd: AsyncFd<OwnedFd>) -> i32 {
    use std::os::fd::AsFd as _;
    loop {
        let ready = pidfd.readable().await;
        if let Some(code) = shim.reaper.try_wait(process.pid(), pidfd.get_ref().as_fd()) {
            return code;
        }
        match ready {
            Ok(mut ready) => ready.clear_ready(),
            Err(error) => {
                // The event loop is ending, and this process with it.
                tracing::error!(%error, pid = process.pid(), "a process cannot be waited for");
                return LOST;
            }
        }
    }
}

/// Another shim may have died instead of its container, and it may still have output in its hands.
async fn other_ended(shim: &Shim, container: &Arc<Container>, process: &Process) {
    if process.exec_id.is_empty() {
        let cgroup = container.cgroup.clone();
        if let Err(error) = blocking(move || cgroup.kill(SIGKILL)).await {
            tracing::error!(container = container.id, %error, "processes of an ended container may be left");
        }
    }
    shim.logs.drain_to_end(process.owner).await;
}

async fn report(shim: &Arc<Shim>, container: &Arc<Container>, process: &Arc<Process>, exit: Exit) {
    let is_init = process.exec_id.is_empty();
    // What came before must have been told before.
    let started = process.starting.lock().await;
    if is_init && !container.own_pids {
        let cgroup = container.cgroup.clone();
        if let Err(error) = blocking(move || cgroup.kill(SIGKILL)).await {
            tracing::error!(container = container.id, %error, "processes of an ended container may be left");
        }
    }
    deliver_output(process).await;
    shim.logs.drain(process.owner).await;
    shim.logs.finish(process.owner);
    point!("shim.exit.drained");
    let kills = if is_init { record(container, exit).await } else { 0 };
    point!("shim.exit.recorded");
    tracing::info!(container = container.id, exec = process.exec_id, code = exit.code, oom = kills > 0, "exited");
    container.oom.tell(shim, &container.id, kills);
    process.set_stage(Stage::Exited(exit));
    drop(started);
    let id = if is_init { &container.id } else { &process.exec_id };
    shim.events.publish(&TaskEvent::Exit(TaskExit {
        container_id: container.id.clone(),
        id: id.clone(),
        pid: process.pid().unsigned_abs(),
        exit_status: exit.status(),
        exited_at: Some(timestamp(exit.at_nanos)).into(),
        ..TaskExit::default()
    }));
}

/// Waits until a terminal's last output is with its reader, a second at most. A slow reader gets the rest later, until
/// the process is deleted.
async fn deliver_output(process: &Process) {
    let Some(mut output) = process.attached().as_mut().and_then(Attached::take_output) else { return };
    if tokio::time::timeout(LAST_OUTPUT, &mut output).await.is_ok() {
        return;
    }
    match process.attached().as_mut() {
        Some(attached) => attached.put_output(output),
        // Deleted meanwhile.
        None => output.abort(),
    }
}

/// Writes how the container ended where a later daemon finds it; how many processes the kernel has killed for want of
/// memory.
async fn record(container: &Arc<Container>, exit: Exit) -> u64 {
    let container = container.clone();
    let written = blocking(move || {
        let kills = container.cgroup.oom_kills();
        if let Err(error) = &kills {
            tracing::warn!(container = container.id, %error, "whether memory ran out is not known");
        }
        let kills = kills.unwrap_or_default();
        let record = ExitRecord { exit_code: exit.code, exited_at_ns: exit.at_nanos, oom: kills > 0 };
        if let Err(error) = record.write(&container.bundle) {
            tracing::error!(container = container.id, %error, "the exit is known to this shim alone");
        }
        Ok(kills)
    });
    written.await.unwrap_or_default()
}
