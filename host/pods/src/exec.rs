//! A command in a running container, its output collected: CRI's ExecSync, the kubelet's exec probes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use oci_spec::runtime::{Process, Spec};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe::{OpenOptions, Receiver},
};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::Stdio;

use crate::{
    ContainerState, Pods, id,
    inner::{ContainerEntry, Inner},
    pod::blocking,
    shim::{Exit, Shim},
};

/// What is kept of each stream; the rest is read and dropped without an error (CVE-2022-1708, CVE-2022-31030).
const OUTPUT_LIMIT: usize = 16 << 20;

/// How long the output of a process that has ended is waited for, when something it left behind keeps the pipe open.
const DRAIN: Duration = Duration::from_secs(2);

const SIGKILL: i32 = 9;

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
    /// At most 16 MiB.
    pub stdout: Vec<u8>,
    /// At most 16 MiB.
    pub stderr: Vec<u8>,
    /// Its exit status, or 128 and the signal that ended it.
    pub exit_code: i32,
}

impl Pods {
    /// Runs a command in a running container with the container's own user, environment and limits.
    ///
    /// The command is killed at the timeout, and its process is gone when this answers. When the caller goes away
    /// the command runs on until its timeout.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where the container does not run; `InvalidArgument` without a command;
    /// `DeadlineExceeded` at the timeout; what the shim says where the command cannot be executed.
    pub async fn exec_sync(&self, container: &str, request: ExecRequest) -> Result<ExecOutput> {
        let entry = self.inner.container_entry(container)?;
        if request.args.first().is_none_or(String::is_empty) {
            return Err(Error::invalid(format!("exec in container {container}: no command given")));
        }
        let inner = self.inner.clone();
        crate::detached("exec", async move { inner.exec_sync(&entry, request).await }).await
    }

    /// The OCI specification that the container was made from.
    ///
    /// # Errors
    ///
    /// `NotFound`, or what reading its bundle says.
    pub fn spec(&self, container: &str) -> Result<Spec> {
        let entry = self.inner.container_entry(container)?;
        read_spec(&entry.row().bundle(&self.inner.pods_dir()))
    }
}

/// One exec's pipes in the container's bundle; gone with it.
struct Pipes {
    stdout: PathBuf,
    stderr: PathBuf,
}

// === impl Inner ===

impl Inner {
    async fn exec_sync(&self, entry: &ContainerEntry, request: ExecRequest) -> Result<ExecOutput> {
        let container = entry.row();
        let what = || format!("exec in container {}", container.id);
        if container.state() != ContainerState::Running {
            return Err(Error::new(Kind::FailedPrecondition, format!("{}: it is not running", what())));
        }
        let shim = self.pod_entry(&container.pod_id)?.shim().await.step(what)?;
        let exec = id::hex::<16>();
        let (bundle, name) = (container.bundle(&self.pods_dir()), exec.clone());
        let (pipes, process) = blocking("prepare an exec", move || {
            let process = process(&bundle, request.args)?;
            Ok((Pipes::make(&bundle, &name)?, process))
        })
        .await
        .step(what)?;
        let (stdout, stderr) = (pipes.open(&pipes.stdout)?, pipes.open(&pipes.stderr)?);
        let (to_stdout, to_stderr) = (Stdio::Fifo(pipes.stdout.clone()), Stdio::Fifo(pipes.stderr.clone()));
        shim.exec(&container.id, &exec, &process, &to_stdout, &to_stderr).await.step(what)?;
        let ran = match shim.start_task(&container.id, &exec).await {
            Ok(_) => collect(&shim, &container.id, &exec, stdout, stderr, request.timeout).await,
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

// === impl Pipes ===

impl Pipes {
    fn make(bundle: &Path, exec: &str) -> Result<Self> {
        let pipes = Self {
            stdout: bundle.join(format!("exec-{exec}-stdout")),
            stderr: bundle.join(format!("exec-{exec}-stderr")),
        };
        for path in [&pipes.stdout, &pipes.stderr] {
            mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).step(|| format!("make the pipe {}", path.display()))?;
        }
        Ok(pipes)
    }

    fn open(&self, path: &Path) -> Result<Receiver> {
        OpenOptions::new().open_receiver(path).step(|| format!("open the pipe {}", path.display()))
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        for path in [&self.stdout, &self.stderr] {
            if let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "remove the pipe of an exec");
            }
        }
    }
}

/// The container's own process with other arguments, without a terminal.
fn process(bundle: &Path, args: Vec<String>) -> Result<Process> {
    let spec = read_spec(bundle)?;
    let mut process =
        spec.process().clone().ok_or_else(|| Error::internal(format!("{}: no process", bundle.display())))?;
    process.set_args(Some(args));
    process.set_terminal(Some(false));
    Ok(process)
}

fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).step(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).step(|| format!("read {}", path.display()))
}

async fn collect(
    shim: &Shim,
    id: &str,
    exec: &str,
    stdout: Receiver,
    stderr: Receiver,
    timeout: Option<Duration>,
) -> Result<ExecOutput> {
    let mut output = ExecOutput::default();
    let (mut kept_out, mut kept_err) = (Vec::new(), Vec::new());
    {
        let reading = async {
            futures::join!(read(stdout, &mut kept_out), read(stderr, &mut kept_err));
        };
        tokio::pin!(reading);
        let ending = end(shim, id, exec, timeout);
        tokio::pin!(ending);
        let mut drained = false;
        output.exit_code = loop {
            tokio::select! {
                () = &mut reading, if !drained => drained = true,
                exit = &mut ending => break exit?.code,
            }
        };
        if !drained && tokio::time::timeout(DRAIN, &mut reading).await.is_err() {
            tracing::debug!(container = id, exec, "something the command left behind keeps its output open");
        }
    }
    (output.stdout, output.stderr) = (kept_out, kept_err);
    Ok(output)
}

/// Waits for the process; at the timeout it is killed and waited for.
async fn end(shim: &Shim, id: &str, exec: &str, timeout: Option<Duration>) -> Result<Exit> {
    let Some(timeout) = timeout else { return shim.wait(id, exec).await };
    let wait = shim.wait(id, exec);
    tokio::pin!(wait);
    if let Ok(exit) = tokio::time::timeout(timeout, &mut wait).await {
        return exit;
    }
    match shim.kill(id, exec, SIGKILL, false).await {
        Err(error) if !error.is_not_found() => tracing::warn!(container = id, exec, %error, "kill an exec"),
        _ => {}
    }
    let gone = tokio::time::timeout(DRAIN, wait).await.is_ok();
    let left = if gone { "it was killed" } else { "it was sent SIGKILL and has not ended" };
    Err(Error::new(Kind::DeadlineExceeded, format!("timeout of {timeout:?} exceeded: {left}")))
}

async fn read(mut pipe: Receiver, kept: &mut Vec<u8>) {
    let mut block = vec![0u8; 32 << 10];
    loop {
        match pipe.read(&mut block).await {
            Ok(0) => return,
            Ok(count) => {
                let room = OUTPUT_LIMIT.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(&block[..room]);
            }
            Err(error) => {
                tracing::warn!(%error, "read the output of an exec");
                return;
            }
        }
    }
}
