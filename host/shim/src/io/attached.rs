use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::termios::{Winsize, tcsetwinsize};
use tokio::task::JoinHandle;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::pump;
use crate::logs::{Format, Logs, Sink};

/// How long an exit waits for a terminal's last output to reach its reader.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// What the shim holds of a process's streams, until the process is deleted.
#[derive(Default)]
pub struct Attached {
    /// Keeps stdin open until CloseIO.
    pub(super) stdin: Option<OwnedFd>,
    /// Readers of output FIFOs, never read.
    pub(super) readers: Vec<OwnedFd>,
    /// Where a terminal's output will go.
    pub(super) terminal_output: Output,
    master: Option<OwnedFd>,
    to_terminal: Option<JoinHandle<()>>,
    from_terminal: Option<JoinHandle<()>>,
}

#[derive(Default)]
pub enum Output {
    #[default]
    Nowhere,
    Fifo(OwnedFd),
    Log(Arc<Mutex<Sink>>, Format),
}

/// A terminal's output on its way.
pub struct LastOutput(JoinHandle<()>);

// === impl Attached ===

impl Attached {
    /// Connects the terminal's master. To be called inside the runtime.
    pub fn connect_terminal(&mut self, master: OwnedFd, owner: u64, logs: &Logs) -> Result<()> {
        let dup = || master.try_clone().step(|| "terminal".into());
        match std::mem::take(&mut self.terminal_output) {
            Output::Nowhere => logs.add(owner, dup()?, None, &Format::Raw)?,
            Output::Log(sink, format) => logs.add(owner, dup()?, Some(sink), &format)?,
            Output::Fifo(fifo) => self.from_terminal = Some(pump::spawn(dup()?, fifo)?),
        }
        if let Some(stdin) = &self.stdin {
            let stdin = stdin.try_clone().step(|| "terminal".into())?;
            self.to_terminal = Some(pump::spawn(stdin, dup()?)?);
        }
        self.master = Some(master);
        Ok(())
    }

    /// The caller writes no more: the process reads the end once the other writers have closed.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
        // A terminal has no end of input of its own.
        if let Some(pump) = self.to_terminal.take() {
            pump.abort();
        }
    }

    /// `FailedPrecondition` for a process without a terminal.
    pub fn resize(&self, width: u16, height: u16) -> Result<()> {
        let Some(master) = &self.master else {
            return Err(Error::new(Kind::FailedPrecondition, "resize: the process has no terminal"));
        };
        let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(master, size).map_err(io::Error::from).step(|| "resize the terminal".into())
    }

    /// The output that is still on its way, once.
    pub fn take_output(&mut self) -> Option<LastOutput> {
        self.from_terminal.take().map(LastOutput)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        for pump in [self.to_terminal.take(), self.from_terminal.take()].into_iter().flatten() {
            pump.abort();
        }
    }
}

// === impl LastOutput ===

impl LastOutput {
    /// Waits until it is with its reader, a second at most.
    pub async fn finished(mut self) {
        if tokio::time::timeout(LAST_OUTPUT, &mut self.0).await.is_err() {
            self.0.abort();
        }
    }
}
