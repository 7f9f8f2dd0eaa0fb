use std::{fs, os::fd::OwnedFd, path::PathBuf, sync::Arc};

use tokio::{sync::oneshot, task::JoinHandle};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::{AttachEnd, AttachRequest, AttachResponse};

use crate::{
    container::Container,
    io::{open_fifo, pump},
    logs::Stream,
    operation::blocking,
    shim::Shim,
};

/// The caller's FIFOs, opened.
#[derive(Default)]
struct Fifos {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// The input of one client on its way; ended with this.
struct Input(JoinHandle<()>);

/// Copies until the container, the caller, or the caller's slowness ends it.
pub async fn attach(shim: Arc<Shim>, request: AttachRequest) -> Result<AttachResponse> {
    let container = shim.container(&request.container)?;
    let what = || format!("container {}: attach", container.id);
    let fifos = blocking(move || Fifos::open(&request)).await.step(what)?;
    if container.init.exit().is_some() {
        return Err(Error::new(Kind::FailedPrecondition, format!("{}: it has exited", what())));
    }
    let (owner, session) = (container.init.owner, shim.logs.new_session());
    let mut outputs = Vec::new();
    for (fifo, stream) in [(fifos.stdout, Stream::Stdout), (fifos.stderr, Stream::Stderr)] {
        if let Some(fifo) = fifo {
            outputs.push(shim.logs.listen(owner, stream, session, fifo)?);
        }
    }
    let wrote = fifos.stdin.is_some();
    let input = fifos.stdin.map(|fifo| feed(&container, fifo)).transpose().step(what)?.flatten();
    let end = ended(&container, outputs, input).await;
    if wrote && let Some(attached) = container.init.attached().as_mut() {
        attached.client_left();
    }
    Ok(AttachResponse { end })
}

async fn ended(container: &Container, outputs: Vec<oneshot::Receiver<AttachEnd>>, input: Option<Input>) -> AttachEnd {
    if outputs.is_empty() {
        let Some(mut input) = input else { return AttachEnd::Detached };
        return tokio::select! {
            _ = &mut input.0 => AttachEnd::Detached,
            _ = container.init.wait() => AttachEnd::Ended,
        };
    }
    let copying = async {
        let mut end = AttachEnd::Ended;
        for output in outputs {
            match output.await.unwrap_or(AttachEnd::Detached) {
                AttachEnd::Ended => {}
                // Of the two streams, the reason that is not the container's own counts.
                other if end == AttachEnd::Ended => end = other,
                _ => {}
            }
        }
        end
    };
    tokio::pin!(copying);
    // A client that writes no more may go on reading; what that means for the container is told at once.
    let Some(mut input) = input else { return copying.await };
    tokio::select! {
        end = &mut copying => return end,
        _ = &mut input.0 => {}
    }
    if let Some(attached) = container.init.attached().as_mut() {
        attached.client_left();
    }
    copying.await
}

/// The client's input to the process, if that reads any.
fn feed(container: &Container, fifo: OwnedFd) -> Result<Option<Input>> {
    let to = match &*container.init.attached() {
        Some(attached) => attached.feed()?,
        None => None,
    };
    to.map(|to| pump(fifo, to).map(Input)).transpose()
}

// === impl Fifos ===

impl Fifos {
    /// Opens each and removes its name: whoever made it may be killed. Blocks, never on a FIFO.
    fn open(request: &AttachRequest) -> Result<Self> {
        let open = |path: &Option<PathBuf>, mode: i32| -> Result<Option<OwnedFd>> {
            let Some(path) = path else { return Ok(None) };
            let opened = open_fifo(path, mode | libc::O_NONBLOCK)?;
            fs::remove_file(path).step(|| format!("remove the FIFO {}", path.display()))?;
            Ok(Some(opened))
        };
        Ok(Self {
            stdin: open(&request.stdin, libc::O_RDONLY)?,
            stdout: open(&request.stdout, libc::O_WRONLY)?,
            stderr: open(&request.stderr, libc::O_WRONLY)?,
        })
    }
}

// === impl Input ===

impl Drop for Input {
    fn drop(&mut self) {
        self.0.abort();
    }
}
