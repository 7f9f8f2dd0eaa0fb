//! Events by the daemon's own program, where it has no socket for them.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use protobuf::Message as _;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::events::ForwardRequest;

use crate::{args::Args, engine::ends, operation::blocking, reaper::Reaper};

/// How long it may take for one.
const DEADLINE: Duration = Duration::from_secs(5);

/// `<program> --address A publish --topic T --namespace N`, the event on its input.
pub struct Program {
    path: PathBuf,
    address: String,
    reaper: Arc<Reaper>,
}

impl Program {
    /// `None` where the command line names none.
    pub fn of(args: &Args, reaper: &Arc<Reaper>) -> Option<Self> {
        let (path, address) = (args.publish_binary.clone(), args.address.clone());
        (!path.as_os_str().is_empty()).then(|| Self { path, address, reaper: reaper.clone() })
    }

    /// Has it tell one event.
    pub async fn publish(&self, request: &ForwardRequest) -> Result<()> {
        let envelope = request.envelope.clone().unwrap_or_default();
        let event = envelope.event.write_to_bytes().step(|| "encode an event".into())?;
        let mut command = Command::new(&self.path);
        command.args(["--address", &self.address, "publish", "--topic", &envelope.topic]);
        command.args(["--namespace", &envelope.namespace]).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let what = format!("{} publish", self.path.display());
        // It is ours to reap.
        let _busy = self.reaper.busy();
        blocking(move || {
            let mut child = command.spawn().step(|| what.clone())?;
            let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&event));
            if !ends(&child, DEADLINE).step(|| what.clone())? {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::new(Kind::DeadlineExceeded, format!("{what}: not done within {DEADLINE:?}")));
            }
            let status = child.wait().step(|| what.clone())?;
            written.step(|| what.clone())?;
            if status.success() { Ok(()) } else { Err(Error::internal(format!("{what}: {status}"))) }
        })
        .await
    }
}
