use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::FileTypeExt as _,
    },
};

use rustix::pipe::{PipeFlags, pipe_with};
use wharf_error::{Result, ResultExt as _};
use wharf_runtime::ProcessStdio;

/// Our ends of the streams of a terminal that the other shim keeps.
pub struct Ends {
    /// What is written here is typed.
    pub input: OwnedFd,
    /// What the terminal shows.
    pub output: OwnedFd,
}

/// A process's streams as the other shim is told them: names of files that are open here, as long as this lives.
pub struct Names {
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
    _open: Vec<OwnedFd>,
}

// === impl Names ===

impl Names {
    /// With our ends when it is a terminal.
    pub fn of(stdio: ProcessStdio) -> Result<(Self, Option<Ends>)> {
        match stdio {
            ProcessStdio::Files { stdin, stdout, stderr } => {
                let (silent, stdin) = is_device(stdin)?;
                let names = Self {
                    stdin: if silent { String::new() } else { name(&stdin) },
                    stdout: name(&stdout),
                    stderr: name(&stderr),
                    _open: vec![stdin, stdout, stderr],
                };
                Ok((names, None))
            }
            ProcessStdio::Terminal { .. } => {
                let pipe =
                    || pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from).step(|| "make a terminal's pipe".into());
                let ((typed, input), (output, shown)) = (pipe()?, pipe()?);
                let names = Self {
                    stdin: name(&typed),
                    stdout: name(&shown),
                    stderr: String::new(),
                    _open: vec![typed, shown],
                };
                Ok((names, Some(Ends { input, output })))
            }
        }
    }
}

/// How another process opens it.
fn name(file: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// Whether it is `/dev/null`.
fn is_device(file: OwnedFd) -> Result<(bool, OwnedFd)> {
    let file = File::from(file);
    let kind = file.metadata().step(|| "look at a stream".into())?.file_type();
    Ok((kind.is_char_device(), file.into()))
}
