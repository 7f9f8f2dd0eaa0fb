//! A client at the streams of a container's first process: CRI's Attach.

use std::time::Duration;

use tokio::time::timeout;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::{AttachEnd, AttachRequest as ShimRequest};
use wharf_streaming::{AttachRequest, Streams};

use super::{Ends, Outputs, feed, resize};
use crate::{
    Pods,
    exec::{Pipes, Wanted},
    id,
    pod::blocking,
};

/// How long output goes on after a client has ended its input, where that is the end of the attachment.
const LAST_OUTPUT: Duration = Duration::from_millis(300);

/// How long the shim may take to see that we have gone.
const DETACHED: Duration = Duration::from_secs(10);

impl Pods {
    /// Whether an attachment can be asked for: what is known before its client comes.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where the container does not run; `InvalidArgument` for streams that make no
    /// sense.
    pub fn check_attach(&self, request: &AttachRequest) -> Result<()> {
        let what = || format!("attach to container {}", request.container);
        let container = self.container(&request.container)?;
        if request.tty && request.stderr {
            return Err(Error::invalid(format!("{}: tty and stderr cannot both be true", what())));
        }
        if !(request.stdin || request.stdout || request.stderr) {
            return Err(Error::invalid(format!("{}: one of stdin, stdout and stderr must be set", what())));
        }
        container.expect_running().step(what)
    }

    /// Copies from now on until the container ends or the client leaves. Neither waits for the other for long: see
    /// [`wharf_shim_api::Streams::attach`].
    pub(crate) async fn attach_streaming(&self, request: AttachRequest, streams: Streams) -> Result<()> {
        self.check_attach(&request)?;
        let container = self.container(&request.container)?;
        let what = || format!("attach to container {}", container.id);
        let shim = self.inner.shim_of_running(&container).await.step(what)?;
        let (bundle, name) = (container.bundle(&self.inner.pods_dir()), format!("attach-{}", id::hex::<16>()));
        let wanted = Wanted {
            // What the client writes to a container that reads nothing is dropped.
            stdin: request.stdin && container.stdin,
            stdout: request.stdout,
            stderr: request.stderr && !container.tty,
        };
        let pipes = blocking("prepare an attachment", move || Pipes::make(&bundle, &name, wanted)).await.step(what)?;
        let ends = Ends::open(&pipes).step(what)?;
        let asked = ShimRequest {
            container: container.id.clone(),
            stdin: pipes.stdin.path(),
            stdout: pipes.stdout.path(),
            stderr: pipes.stderr.path(),
        };
        let attached = shim.attach(&asked);
        tokio::pin!(attached);

        let Streams { stdin, stdout, stderr, resize: sizes, gone } = streams;
        let outputs = Outputs::new(gone.clone());
        let only_input = !(wanted.stdout || wanted.stderr);
        // Its end of input is its end, but where that is also the container's: then the rest of the output is waited
        // for. containerd has the same rule.
        let input_is_all = only_input || !container.stdin_once || container.tty;
        let end = {
            let copying = outputs.copy_both((ends.stdout, stdout), (ends.stderr, stderr));
            tokio::pin!(copying);
            let mut fed = ends.stdin.zip(stdin).map(|(to, from)| Box::pin(feed(from, to)));
            let sizing = resize(&shim, &container.id, "", sizes);
            tokio::pin!(sizing);
            let (mut copied, mut leaving) = (only_input, false);
            loop {
                tokio::select! {
                    end = &mut attached => {
                        // The shim has closed its ends: this reads what is left.
                        if !copied {
                            outputs.exited();
                            tokio::select! { () = &mut copying => {}, () = gone.cancelled() => {} }
                        }
                        break Some(end);
                    }
                    () = gone.cancelled() => break None,
                    () = &mut copying, if !copied => copied = true,
                    () = async { match &mut fed { Some(fed) => fed.await, None => std::future::pending().await } } => {
                        fed = None;
                        leaving = input_is_all;
                    }
                    () = tokio::time::sleep(LAST_OUTPUT), if leaving => break None,
                    () = &mut sizing => {}
                }
            }
        };
        drop(pipes);
        let end = match end {
            Some(end) => end.step(what)?,
            // Our ends are closed; the shim sees it.
            None => match timeout(DETACHED, attached).await {
                Ok(end) => end.step(what)?,
                Err(_) => AttachEnd::Detached,
            },
        };
        match end {
            AttachEnd::Ended | AttachEnd::Detached => Ok(()),
            AttachEnd::TooSlow => Err(Error::new(Kind::Exhausted, what())
                .because(Error::internal("the client read too slowly; the container does not wait for it"))
                .hint("its log has everything")),
        }
    }
}
