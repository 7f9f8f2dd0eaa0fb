//! A container by an OCI runtime's command line: `create`, `start`, `exec`, `kill`, `delete`.
//!
//! Its root and the pod's shared memory are mounted where only that command sees them. Its processes become ours when
//! the command has ended, for we are the subreaper.

mod command;
mod console;
mod exec;

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{AttachRequest, ProcessStdio, attach};
use wharf_shim_api::OciRuntime;

pub use self::exec::Executed;
use self::{
    command::{Call, Streams},
    console::Console,
};
use super::{New, spec};

/// A container that was made.
pub struct OciContainer {
    runtime: OciRuntime,
    id: String,
    bundle: PathBuf,
    pid: i32,
    /// Our own view of it, for what the command line cannot tell.
    view: wharf_runtime::Container,
}

// === impl OciContainer ===

impl OciContainer {
    /// Makes it up to the point before its program; with it, a terminal's master and its first process, opened.
    /// Of one that cannot be made nothing is left.
    pub fn create(runtime: OciRuntime, new: New<'_>) -> Result<(Self, Option<OwnedFd>, OwnedFd)> {
        let made = spec::write(&new)?;
        let New { id, bundle, root, sources, namespaces, merge_image_groups, stdio, .. } = new;
        let (mounts, _) = made.mounts(root, sources, namespaces)?;
        let pid_file = bundle.join("init.pid");
        let mut call = Call::new(&runtime, bundle, "create");
        call.arg("--bundle").arg(&made.bundle).arg("--pid-file").arg(&pid_file);
        let console = match stdio {
            ProcessStdio::Terminal { .. } => {
                let console = Console::listen(bundle)?;
                call.arg("--console-socket").arg(console.path());
                Some(console)
            }
            ProcessStdio::Files { stdin, stdout, stderr } => {
                call.streams = Streams::Given([stdin, stdout, stderr]);
                None
            }
        };
        call.arg(id);
        call.mounts = Some(mounts);
        let created = call.run().and_then(|_| {
            let master = console.map(Console::receive).transpose()?;
            let (pid, pidfd) = open(&pid_file)?;
            let own = pidfd.try_clone().step(|| "duplicate a pidfd".into())?;
            let view = attach(AttachRequest {
                id,
                bundle,
                pid,
                pidfd: own,
                spec: &made.spec,
                merge_image_groups,
                start: None,
            })?;
            let container = Self { runtime: runtime.clone(), id: id.to_owned(), bundle: bundle.to_owned(), pid, view };
            Ok((container, master, pidfd))
        });
        if created.is_err()
            && let Err(left) = remove(&runtime, bundle, id)
        {
            tracing::error!(container = id, error = %left, "something of it is left");
        }
        created
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    pub fn start(&self) -> Result<()> {
        self.call("start").run().map(drop)
    }

    /// By our own hand, which is the same and needs no program.
    pub fn kill(&self, signal: i32) -> Result<()> {
        self.view.kill(signal)
    }

    pub fn set_paused(&self, paused: bool) -> Result<()> {
        self.call(if paused { "pause" } else { "resume" }).run().map(drop)
    }

    pub fn delete(&self) -> Result<()> {
        remove(&self.runtime, &self.bundle, &self.id)
    }

    fn call(&self, verb: &'static str) -> Call<'_> {
        let mut call = Call::new(&self.runtime, &self.bundle, verb);
        call.arg(&self.id);
        call
    }
}

/// Has the command line take away all that it knows of a container, running or not. Again is success.
pub fn remove(runtime: &OciRuntime, bundle: &Path, id: &str) -> Result<()> {
    let mut call = Call::new(runtime, bundle, "delete");
    call.arg("--force").arg(id);
    match call.run() {
        // crun says so also with --force.
        Err(error) if error.to_string().contains("does not exist") => Ok(()),
        other => other.map(drop),
    }
}

/// The process of a pid file. It is ours to reap and not reaped before we look, so its number is its own.
fn open(pid_file: &Path) -> Result<(i32, OwnedFd)> {
    let step = || format!("read {}", pid_file.display());
    let text = fs::read_to_string(pid_file).step(step)?;
    let number: i32 = text.trim().parse().step_as(Kind::Internal, step)?;
    let pid = Pid::from_raw(number).ok_or_else(|| Error::internal(format!("{}: it has no pid", step())))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(std::io::Error::from);
    let pidfd = pidfd.step(|| format!("open process {number}"))?;
    let _ = fs::remove_file(pid_file);
    Ok((number, pidfd))
}
