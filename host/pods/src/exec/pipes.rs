use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use rustix::pipe::fcntl_setpipe_size;
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use wharf_error::{Result, ResultExt as _};
use wharf_shim_api::Stdio;

/// What a pipe holds, bytes: several times the kernel's default, so that a fast stream moves in large pieces.
const CAPACITY: usize = 256 * 1024;

/// Which pipes are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// One process's named pipes in its container's bundle. Their names are gone with this; open ends go on.
pub(crate) struct Pipes {
    pub(crate) stdin: Pipe,
    pub(crate) stdout: Pipe,
    pub(crate) stderr: Pipe,
}

/// A pipe, or none.
pub(crate) struct Pipe(Option<PathBuf>);

// === impl Pipes ===

impl Pipes {
    /// Makes what is wanted. Blocks.
    pub(crate) fn make(bundle: &Path, name: &str, wanted: Wanted) -> Result<Self> {
        let pipe = |wanted: bool, stream: &str| match wanted {
            true => Pipe::make(bundle.join(format!("{name}-{stream}"))),
            false => Ok(Pipe(None)),
        };
        Ok(Self {
            stdin: pipe(wanted.stdin, "stdin")?,
            stdout: pipe(wanted.stdout, "stdout")?,
            stderr: pipe(wanted.stderr, "stderr")?,
        })
    }
}

// === impl Pipe ===

impl Pipe {
    /// The end to read from; to be opened before anybody writes.
    pub(crate) fn open(&self) -> Result<Option<Receiver>> {
        let Some(path) = &self.0 else { return Ok(None) };
        let pipe = OpenOptions::new().open_receiver(path).step(|| format!("open the pipe {}", path.display()))?;
        // A smaller one is slower, that is all.
        let _ = fcntl_setpipe_size(&pipe, CAPACITY);
        Ok(Some(pipe))
    }

    /// The end to write to; also before anybody reads.
    pub(crate) fn open_to_write(&self) -> Result<Option<Sender>> {
        let Some(path) = &self.0 else { return Ok(None) };
        let pipe = OpenOptions::new().read_write(true).open_sender(path);
        let pipe = pipe.step(|| format!("open the pipe {}", path.display()))?;
        let _ = fcntl_setpipe_size(&pipe, CAPACITY);
        Ok(Some(pipe))
    }

    /// As the shim is told of it.
    pub(crate) fn stdio(&self) -> Stdio {
        self.0.clone().map_or(Stdio::Null, Stdio::Fifo)
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.0.clone()
    }

    fn make(path: PathBuf) -> Result<Self> {
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).step(|| format!("make the pipe {}", path.display()))?;
        Ok(Self(Some(path)))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "remove a pipe");
        }
    }
}
