use std::{fs, os::fd::OwnedFd};

use wharf_error::{Result, ResultExt as _};
use wharf_runtime::{ExecRequest, ProcessStdio, send_signal, send_signal_to_group};

use super::{
    OciContainer,
    command::{Call, Streams},
    console::Console,
    open,
};
use crate::engine::spec;

/// A process that was executed.
pub struct Executed {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub terminal: Option<OwnedFd>,
}

// === impl Executed ===

impl Executed {
    /// `all`: what it started, too.
    pub fn kill(&self, signal: i32, all: bool) -> Result<()> {
        let sent = match all {
            true => send_signal_to_group(self.pid, &self.pidfd, signal),
            false => send_signal(&self.pidfd, signal),
        };
        sent.step(|| format!("process {}", self.pid))
    }
}

// === impl OciContainer ===

impl OciContainer {
    /// Runs a further process inside; it is ours when this returns.
    pub fn exec(&self, exec_id: &str, request: ExecRequest<'_>) -> Result<Executed> {
        let mut process = request.process.clone();
        process.set_user(self.view.resolve_user(process.user())?);
        spec::fit(&mut process)?;
        let pid_file = self.bundle.join(format!("exec-{exec_id}.pid"));
        let process_file = self.bundle.join(format!("exec-{exec_id}.json"));
        let mut call = Call::new(&self.runtime, &self.bundle, "exec");
        call.arg("--detach").arg("--pid-file").arg(&pid_file).arg("--process").arg(&process_file);
        let console = match request.stdio {
            ProcessStdio::Terminal { size } => {
                if let Some(size) = size {
                    spec::set_size(&mut process, size)?;
                }
                let console = Console::listen(&self.bundle)?;
                call.arg("--console-socket").arg(console.path());
                Some(console)
            }
            ProcessStdio::Files { stdin, stdout, stderr } => {
                call.streams = Streams::Given([stdin, stdout, stderr]);
                None
            }
        };
        call.arg(&self.id);
        let step = || format!("write {}", process_file.display());
        fs::write(&process_file, serde_json::to_vec(&process).step(step)?).step(step)?;
        let done = call.run();
        let _ = fs::remove_file(&process_file);
        let opened = done.and_then(|()| open(&pid_file));
        let _ = fs::remove_file(&pid_file);
        let (pid, pidfd) = opened?;
        let terminal = match console.map(Console::receive).transpose() {
            Ok(terminal) => terminal,
            Err(error) => {
                let _ = send_signal(&pidfd, 9);
                return Err(error);
            }
        };
        Ok(Executed { pid, pidfd, terminal })
    }
}
