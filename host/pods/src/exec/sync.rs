//! A command's output collected: CRI's ExecSync, the kubelet's exec probes.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, net::unix::pipe::Receiver};
use tokio_util::sync::CancellationToken;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{
    SIGKILL,
    pipes::{Pipes, Wanted},
    process::process,
};
use crate::{
    Pods,
    entry::ContainerEntry,
    id,
    inner::Inner,
    pod::blocking,
    shim::{Exit, NewExec, Shim},
};

/// What is kept of both streams together; the rest is read and dropped without an error (CVE-2022-1708, CVE-2022-31030).
/// An answer is one message, of which clients take 16 MiB.
const OUTPUT_LIMIT: usize = (16 << 20) - (4 << 10);

/// How long the output of a process that has ended is waited for, when something it left behind keeps the pipe open.
const DRAIN: Duration = Duration::from_secs(2);

/// A command for [`Pods::exec_sync`].
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The command and its arguments.
    pub args: Vec<String>,
    /// After this long it is killed; none: no limit.
    pub timeout: Option<Duration>,
}

/// What a command left.
#[derive(Clone, Debug, Default)]
pub struct ExecOutput {
    /// With [`ExecOutput::stderr`] at most 16 MiB less 4 KiB; what came after that is dropped.
    pub stdout: Vec<u8>,
    /// As [`ExecOutput::stdout`].
    pub stderr: Vec<u8>,
    /// Its exit status, or 128 and the signal that ended it.
    pub exit_code: i32,
}

impl Pods {
    /// Runs a command in a running container with the container's own user, environment and limits.
    ///
    /// The command is killed at the timeout with its process group, and its process is gone when this answers. Dropping
    /// the returned future, as happens when the caller goes away, kills it just so.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where the container does not run; `InvalidArgument` without a command;
    /// `DeadlineExceeded` at the timeout; what the shim says where the command cannot be executed.
    pub async fn exec_sync(&self, container: &str, request: ExecRequest) -> Result<ExecOutput> {
        let entry = self.inner.recovered_entry(container).await?;
        if request.args.first().is_none_or(String::is_empty) {
            return Err(Error::invalid(format!("exec in container {container}: no command given")));
        }
        let (inner, row) = (self.inner.clone(), entry.row());
        let what = format!("exec in container {}", row.id);
        // Nobody is left to read the output of a command whose caller is gone.
        let gone = CancellationToken::new();
        let _caller = gone.clone().drop_guard();
        // It has as long as the caller gives it.
        self.inner.detached(what, Duration::MAX, async move { inner.exec_sync(&entry, request, &gone).await }).await
    }
}

// === impl Inner ===

impl Inner {
    async fn exec_sync(
        &self,
        entry: &ContainerEntry,
        request: ExecRequest,
        gone: &CancellationToken,
    ) -> Result<ExecOutput> {
        let container = entry.row();
        let what = || format!("exec in container {}", container.id);
        let shim = self.shim_of_running(&container).await.step(what)?;
        let exec = id::hex::<16>();
        let (bundle, name) = (container.bundle(&self.pods_dir()), exec.clone());
        let (pipes, process) = blocking("prepare an exec", move || {
            let process = process(&bundle, request.args, false)?;
            let wanted = Wanted { stdout: true, stderr: true, ..Wanted::default() };
            Ok((Pipes::make(&bundle, &format!("exec-{name}"), wanted)?, process))
        })
        .await
        .step(what)?;
        let (stdout, stderr) = (pipes.stdout.open()?, pipes.stderr.open()?);
        let new = NewExec {
            id: &container.id,
            exec: &exec,
            process: &process,
            terminal: false,
            stdin: pipes.stdin.stdio(),
            stdout: pipes.stdout.stdio(),
            stderr: pipes.stderr.stdio(),
        };
        shim.exec(&new).await.step(what)?;
        let starting = shim.start_task(&container.id, &exec);
        let started = match request.timeout {
            None => starting.await,
            // Into a frozen container, or one with a dead file system, it would take longer than a probe waits. A process
            // that is there after all is ended, for its exec is forgotten.
            Some(timeout) => tokio::time::timeout(timeout, starting).await.unwrap_or_else(|_| {
                let what = format!("timeout of {timeout:?} exceeded: it has not been started");
                Err(Error::new(Kind::DeadlineExceeded, what))
            }),
        };
        let ran = match started {
            Ok(_) => {
                // Both ends are open: no file is left should we be killed.
                drop(pipes);
                let end = end(&shim, &container.id, &exec, request.timeout, gone);
                collect(end, &container.id, &exec, stdout, stderr).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = shim.delete_task(&container.id, &exec).await
            && !error.is_not_found()
        {
            tracing::debug!(container = %container.id, exec, %error, "delete an exec that has ended");
        }
        ran.step(what)
    }
}

async fn collect(
    end: impl Future<Output = Result<Exit>>,
    id: &str,
    exec: &str,
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
) -> Result<ExecOutput> {
    let mut output = ExecOutput::default();
    let (mut kept_out, mut kept_err) = (Vec::new(), Vec::new());
    let room = AtomicUsize::new(OUTPUT_LIMIT);
    {
        let reading = async {
            futures::join!(read(stdout, &mut kept_out, &room), read(stderr, &mut kept_err, &room));
        };
        tokio::pin!(reading);
        tokio::pin!(end);
        let mut drained = false;
        output.exit_code = loop {
            tokio::select! {
                () = &mut reading, if !drained => drained = true,
                exit = &mut end => break exit?.code,
            }
        };
        if !drained && tokio::time::timeout(DRAIN, &mut reading).await.is_err() {
            tracing::debug!(container = id, exec, "something the command left behind keeps its output open");
        }
    }
    (output.stdout, output.stderr) = (kept_out, kept_err);
    Ok(output)
}

/// Waits for the process; at the timeout, or when its caller is gone, it is killed and waited for.
async fn end(shim: &Shim, id: &str, exec: &str, timeout: Option<Duration>, gone: &CancellationToken) -> Result<Exit> {
    let wait = shim.wait(id, exec);
    tokio::pin!(wait);
    let late = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let (kind, why) = tokio::select! {
        exit = &mut wait => return exit,
        () = late => (Kind::DeadlineExceeded, format!("timeout of {:?} exceeded", timeout.unwrap_or_default())),
        () = gone.cancelled() => (Kind::Cancelled, "its caller is gone".to_owned()),
    };
    match shim.kill(id, exec, SIGKILL, true).await {
        Err(error) if !error.is_not_found() => tracing::warn!(container = id, exec, %error, "kill an exec"),
        _ => {}
    }
    let ended = tokio::time::timeout(DRAIN, wait).await.is_ok();
    let left = if ended { "it was killed" } else { "it was sent SIGKILL and has not ended" };
    Err(Error::new(kind, format!("{why}: {left}")))
}

/// `room`: for how many bytes more there is room.
async fn read(pipe: Option<Receiver>, kept: &mut Vec<u8>, room: &AtomicUsize) {
    let Some(mut pipe) = pipe else { return };
    let mut block = vec![0u8; 64 << 10];
    loop {
        match pipe.read(&mut block).await {
            Ok(0) => return,
            Ok(count) => {
                // Both streams are read by one task.
                let taken = room.load(Ordering::Relaxed).min(count);
                room.fetch_sub(taken, Ordering::Relaxed);
                kept.extend_from_slice(&block[..taken]);
            }
            Err(error) => {
                tracing::warn!(%error, "read the output of an exec");
                return;
            }
        }
    }
}
