//! A command with a client at its streams: CRI's Exec.

use std::time::Duration;

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_streaming::{ExecRequest, Streams};

use super::{
    SIGKILL,
    pipes::{Pipes, Wanted},
    process::process,
};
use crate::{
    Container, Pods, id,
    inner::Inner,
    pod::blocking,
    shim::{NewExec, Shim},
    streams::{Ends, Outputs},
};

/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(10);

impl Pods {
    /// Whether a streaming exec can be asked for: what is known before its client comes.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where the container does not run; `InvalidArgument` for streams that make no
    /// sense.
    pub fn check_exec(&self, request: &ExecRequest) -> Result<()> {
        let what = || format!("exec in container {}", request.container);
        let invalid = |why: &str| Err(Error::invalid(format!("{}: {why}", what())));
        let container = self.container(&request.container)?;
        if request.command.first().is_none_or(String::is_empty) {
            return invalid("no command given");
        }
        if request.tty && request.stderr {
            return invalid("tty and stderr cannot both be true");
        }
        if !(request.stdin || request.stdout || request.stderr) {
            return invalid("one of stdin, stdout and stderr must be set");
        }
        container.expect_running().step(what)
    }

    /// Runs a command with the client's streams and answers its exit code.
    ///
    /// When the client goes away the command is killed. Output is over when all that hold it have closed it; what the
    /// command left behind and is silent for two seconds is not waited for.
    pub(crate) async fn exec_streaming(&self, request: ExecRequest, streams: Streams) -> Result<i32> {
        self.check_exec(&request)?;
        let container = self.container(&request.container)?;
        let what = || format!("exec in container {}", container.id);
        let inner = &self.inner;
        let shim = inner.shim_of_running(&container).await.step(what)?;
        let exec = id::hex::<16>();
        let ends = inner.start(&shim, &container, &exec, &request).await;
        let ran = match ends {
            Ok(ends) => run(&shim, &container.id, &exec, ends, streams).await,
            Err(error) => Err(error),
        };
        match shim.delete_task(&container.id, &exec).await {
            Err(error) if !error.is_not_found() => {
                tracing::warn!(container = %container.id, exec, %error, "delete an exec that has ended");
            }
            _ => {}
        }
        ran.step(what)
    }
}

// === impl Inner ===

impl Inner {
    async fn start(&self, shim: &Shim, container: &Container, exec: &str, request: &ExecRequest) -> Result<Ends> {
        let (bundle, name) = (container.bundle(&self.pods_dir()), format!("exec-{exec}"));
        let (command, terminal) = (request.command.clone(), request.tty);
        let wanted = Wanted { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr };
        let (pipes, process) = blocking("prepare an exec", move || {
            Ok((Pipes::make(&bundle, &name, wanted)?, process(&bundle, command, terminal)?))
        })
        .await?;
        let ends = Ends::open(&pipes)?;
        let new = NewExec {
            id: &container.id,
            exec,
            process: &process,
            terminal,
            stdin: pipes.stdin.stdio(),
            stdout: pipes.stdout.stdio(),
            stderr: pipes.stderr.stdio(),
        };
        shim.exec(&new).await?;
        shim.start_task(&container.id, exec).await?;
        // Both ends are open: with the names gone no file is left should we be killed.
        Ok(ends)
    }
}

async fn run(shim: &Shim, container: &str, exec: &str, ends: Ends, streams: Streams) -> Result<i32> {
    let Streams { stdin, stdout, stderr, resize, gone } = streams;
    let outputs = Outputs::new(gone.clone());
    let copying = outputs.copy_both((ends.stdout, stdout), (ends.stderr, stderr));
    tokio::pin!(copying);
    let feeding = async {
        if let (Some(to), Some(from)) = (ends.stdin, stdin) {
            crate::streams::feed(from, to).await;
            if let Err(error) = shim.close_stdin(container, exec).await {
                tracing::debug!(container, exec, %error, "close the input of an exec");
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::pin!(feeding);
    let sizing = crate::streams::resize(shim, container, exec, resize);
    tokio::pin!(sizing);
    let ending = shim.wait(container, exec);
    tokio::pin!(ending);
    let mut copied = false;
    let exit = loop {
        tokio::select! {
            exit = &mut ending => break exit?,
            () = gone.cancelled() => {
                kill(shim, container, exec, ending).await;
                return Err(Error::new(Kind::Cancelled, "the client has gone; the command was killed"));
            }
            () = &mut copying, if !copied => copied = true,
            () = &mut feeding => {}
            () = &mut sizing => {}
        }
    };
    outputs.exited();
    if !copied {
        tokio::select! {
            () = &mut copying => {}
            () = gone.cancelled() => {}
        }
    }
    Ok(exit.code)
}

async fn kill(shim: &Shim, container: &str, exec: &str, ending: impl Future<Output = Result<crate::shim::Exit>>) {
    match shim.kill(container, exec, SIGKILL, true).await {
        Err(error) if !error.is_not_found() => tracing::warn!(container, exec, %error, "kill an exec"),
        _ => {}
    }
    if tokio::time::timeout(KILLED, ending).await.is_err() {
        tracing::warn!(container, exec, "an exec was sent SIGKILL and has not ended");
    }
}
