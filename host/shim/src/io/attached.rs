use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
};

use rustix::termios::{Winsize, tcsetwinsize};
use tokio::task::JoinHandle;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::pump;
use crate::{
    engine::Console,
    logs::{Format, Logs, Sink, Stream},
};

/// What the shim holds of a process's streams, until the process is deleted.
#[derive(Default)]
pub struct Attached {
    /// Keeps stdin open until CloseIO.
    pub(super) stdin: Option<OwnedFd>,
    /// Where the input of attached clients goes, if it is theirs.
    pub(super) feed: Option<Feed>,
    /// The log that both streams share.
    pub(super) log: Option<Arc<Mutex<Sink>>>,
    /// Readers of output FIFOs, never read.
    pub(super) readers: Vec<OwnedFd>,
    /// Where a terminal's output will go.
    pub(super) terminal_output: Output,
    console: Option<Console>,
    to_terminal: Option<JoinHandle<()>>,
    from_terminal: Option<JoinHandle<()>>,
}

/// The input of attached clients.
pub struct Feed {
    /// The writing end: of the process's pipe, or its terminal. Absent until the terminal is there.
    pub(super) to: Option<OwnedFd>,
    /// The first client's end is the end.
    pub(super) once: bool,
}

#[derive(Default)]
pub enum Output {
    #[default]
    Nowhere,
    Fifo(OwnedFd),
    Log(Arc<Mutex<Sink>>, Format),
}

// === impl Attached ===

impl Attached {
    /// Connects our side of the terminal. To be called inside the runtime.
    pub fn connect_terminal(&mut self, console: Console, owner: u64, logs: &Logs) -> Result<()> {
        let (output, input) = match &console {
            Console::Master(master) => (master, master),
            Console::Streams(ends) => (&ends.output, &ends.input),
        };
        let output = output.try_clone().step(|| "terminal".into())?;
        let input = || input.try_clone().step(|| "terminal".into());
        match std::mem::take(&mut self.terminal_output) {
            Output::Nowhere => logs.add(owner, output, None, &Format::Raw { stream: Stream::Stdout })?,
            Output::Log(sink, format) => logs.add(owner, output, Some(sink), &format)?,
            Output::Fifo(fifo) => self.from_terminal = Some(pump::spawn(output, fifo)?),
        }
        if let Some(stdin) = &self.stdin {
            let stdin = stdin.try_clone().step(|| "terminal".into())?;
            self.to_terminal = Some(pump::spawn(stdin, input()?)?);
        }
        if let Some(feed) = &mut self.feed {
            feed.to = Some(input()?);
        }
        self.console = Some(console);
        Ok(())
    }

    /// Where an attached client's input goes: the process's pipe or terminal. `None`: the process reads nothing of
    /// theirs, or no more.
    pub fn feed(&self) -> Result<Option<OwnedFd>> {
        let Some(to) = self.feed.as_ref().and_then(|feed| feed.to.as_ref()) else { return Ok(None) };
        to.try_clone().map(Some).step(|| "duplicate the input".into())
    }

    /// An attached client that wrote has gone: the end of input where it was to be the only one. A terminal has none.
    pub fn client_left(&mut self) {
        if self.console.is_none() && self.feed.as_ref().is_some_and(|feed| feed.once) {
            self.feed = None;
        }
    }

    /// The log that is written, if any.
    pub fn log(&self) -> Option<Arc<Mutex<Sink>>> {
        self.log.clone()
    }

    /// The caller writes no more: the process reads the end once the other writers have closed.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
        if self.console.is_none() {
            self.feed = None;
        }
        // A terminal has no end of input of its own.
        if let Some(pump) = self.to_terminal.take() {
            pump.abort();
        }
    }

    /// `FailedPrecondition` for a process without a terminal.
    pub fn resize(&self, width: u16, height: u16) -> Result<()> {
        let Some(Console::Master(master)) = &self.console else {
            return Err(Error::new(Kind::FailedPrecondition, "resize: the process has no terminal"));
        };
        let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(master, size).map_err(io::Error::from).step(|| "resize the terminal".into())
    }

    /// The output that is still on its way. Who takes it puts it back, or ends it.
    pub fn take_output(&mut self) -> Option<JoinHandle<()>> {
        self.from_terminal.take()
    }

    pub fn put_output(&mut self, pump: JoinHandle<()>) {
        self.from_terminal = Some(pump);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        for pump in [self.to_terminal.take(), self.from_terminal.take()].into_iter().flatten() {
            pump.abort();
        }
    }
}
