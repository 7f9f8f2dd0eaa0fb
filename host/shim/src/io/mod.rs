//! The standard streams of a process: files for it, and the ends that stay with the shim.

mod attached;
mod pump;

use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    },
    path::Path,
    sync::{Arc, Mutex},
};

use rustix::pipe::{PipeFlags, pipe_with};
use wharf_error::{Error, Result, ResultExt as _};
use wharf_runtime::{ProcessStdio, TerminalSize};
use wharf_shim_api::Stdio;

use self::attached::Feed;
pub use self::{
    attached::{Attached, Output},
    pump::{spawn as pump, watch},
};
use crate::{
    logs::{Format, Logs, Sink, Stream, open_sink},
    process::StdioNames,
};

/// Opens the streams that a request names, and hands log pipes to the log thread. Blocks, never on a FIFO.
///
/// When the process is not made after all, dropping the result ends everything.
pub fn open(
    names: &StdioNames,
    owner: u64,
    logs: &Logs,
    size: Option<TerminalSize>,
) -> Result<(ProcessStdio, Attached)> {
    let parse = |name: &str| Stdio::parse(name);
    let (stdin, stdout, stderr) = (parse(&names.stdin)?, parse(&names.stdout)?, parse(&names.stderr)?);
    let mut attached = Attached::default();
    if names.terminal {
        attached.prepare_terminal(&stdin, &stdout)?;
        return Ok((ProcessStdio::Terminal { size }, attached));
    }
    let stdin = attached.open_stdin(&stdin)?;
    // Both streams in one file: one sink, so that lines stay whole.
    let mut sinks: Vec<(Stdio, Arc<Mutex<Sink>>)> = Vec::new();
    let mut open = |stdio: &Stdio, stream| attached.open_output(stdio, stream, owner, logs, &mut sinks);
    let stdout = open(&stdout, Stream::Stdout)?;
    let stderr = open(&stderr, Stream::Stderr)?;
    Ok((ProcessStdio::Files { stdin, stdout, stderr }, attached))
}

// === impl Attached ===

impl Attached {
    fn open_stdin(&mut self, stdio: &Stdio) -> Result<OwnedFd> {
        match stdio {
            Stdio::Null => null(),
            Stdio::Fifo(path) => {
                // The process reads it directly. Our writer keeps it open until CloseIO; it is open for
                // reading, too, so that opening it waits for nobody.
                self.stdin = Some(open_fifo(path, libc::O_RDWR | libc::O_NONBLOCK)?);
                open_fifo(path, libc::O_RDONLY)
            }
            Stdio::Attach { once } => {
                let (read, write) = pipe()?;
                self.feed = Some(Feed { to: Some(write), once: *once });
                Ok(read)
            }
            Stdio::CriLog { .. } | Stdio::File(_) => Err(Error::invalid(format!("stdin `{stdio}`: not a FIFO"))),
        }
    }

    fn open_output(
        &mut self,
        stdio: &Stdio,
        stream: Stream,
        owner: u64,
        logs: &Logs,
        sinks: &mut Vec<(Stdio, Arc<Mutex<Sink>>)>,
    ) -> Result<OwnedFd> {
        match stdio {
            Stdio::Null => null(),
            Stdio::Fifo(path) => {
                // Our reader keeps a writer whose caller has gone from SIGPIPE, and what was written from
                // being lost before the caller reads it.
                self.readers.push(open_fifo(path, libc::O_RDONLY | libc::O_NONBLOCK)?);
                open_fifo(path, libc::O_WRONLY)
            }
            Stdio::Attach { .. } => {
                let (read, write) = pipe()?;
                logs.add(owner, read, None, &Format::Raw { stream })?;
                Ok(write)
            }
            Stdio::CriLog { .. } | Stdio::File(_) => {
                let (sink, format) = sink_of(stdio, stream, sinks)?;
                let (read, write) = pipe()?;
                self.log = Some(sink.clone());
                logs.add(owner, read, Some(sink), &format)?;
                Ok(write)
            }
        }
    }

    fn prepare_terminal(&mut self, stdin: &Stdio, stdout: &Stdio) -> Result<()> {
        self.stdin = match stdin {
            Stdio::Null => None,
            Stdio::Attach { once } => {
                self.feed = Some(Feed { to: None, once: *once });
                None
            }
            Stdio::Fifo(path) => Some(open_fifo(path, libc::O_RDWR | libc::O_NONBLOCK)?),
            Stdio::CriLog { .. } | Stdio::File(_) => {
                return Err(Error::invalid(format!("stdin `{stdin}`: not a FIFO")));
            }
        };
        self.terminal_output = match stdout {
            Stdio::Null | Stdio::Attach { .. } => Output::Nowhere,
            Stdio::Fifo(path) => {
                self.readers.push(open_fifo(path, libc::O_RDONLY | libc::O_NONBLOCK)?);
                Output::Fifo(open_fifo(path, libc::O_WRONLY | libc::O_NONBLOCK)?)
            }
            Stdio::CriLog { .. } | Stdio::File(_) => {
                let (sink, format) = sink_of(stdout, Stream::Stdout, &mut Vec::new())?;
                self.log = Some(sink.clone());
                Output::Log(sink, format)
            }
        };
        Ok(())
    }
}

fn sink_of(
    stdio: &Stdio,
    stream: Stream,
    sinks: &mut Vec<(Stdio, Arc<Mutex<Sink>>)>,
) -> Result<(Arc<Mutex<Sink>>, Format)> {
    let path = stdio.path().unwrap_or(Path::new("/dev/null"));
    let known = sinks.iter().find(|(other, _)| other.path() == Some(path)).map(|(_, sink)| sink.clone());
    let sink = match known {
        Some(sink) => sink,
        None => {
            let sink = open_sink(path)?;
            sinks.push((stdio.clone(), sink.clone()));
            sink
        }
    };
    let format = match stdio {
        Stdio::CriLog { max_line, .. } => Format::Cri { stream, max_line: *max_line },
        _ => Format::Raw { stream },
    };
    Ok((sink, format))
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from).step(|| "make a pipe".into())
}

fn null() -> Result<OwnedFd> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    Ok(null.step(|| "open /dev/null".into())?.into())
}

/// `flags` are the access mode and O_NONBLOCK. Anything but a FIFO is refused: the path is the caller's.
pub fn open_fifo(path: &Path, flags: i32) -> Result<OwnedFd> {
    let mut options = OpenOptions::new();
    match flags & libc::O_ACCMODE {
        libc::O_RDONLY => options.read(true),
        libc::O_WRONLY => options.write(true),
        _ => options.read(true).write(true),
    };
    let file = options.custom_flags(flags & !libc::O_ACCMODE).open(path);
    let file = file.step_as(wharf_error::Kind::FailedPrecondition, || format!("open the FIFO {}", path.display()))?;
    let kind = file.metadata().step(|| format!("open the FIFO {}", path.display()))?.file_type();
    if !kind.is_fifo() {
        return Err(Error::invalid(format!("{}: not a FIFO", path.display())));
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests;
