use std::sync::Arc;

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::{Done, ReopenLogRequest};

use crate::{io::Attached, logs::Sink, operation::blocking, shim::Shim};

/// Goes on in a new log file. A container without a log has nothing to rotate: success.
pub async fn reopen_log(shim: Arc<Shim>, request: ReopenLogRequest) -> Result<Done> {
    let container = shim.container(&request.container)?;
    let what = || format!("container {}: reopen its log", container.id);
    if container.init.exit().is_some() {
        return Err(Error::new(Kind::FailedPrecondition, format!("{}: it has exited", what())));
    }
    let log = container.init.attached().as_ref().and_then(Attached::log);
    if let Some(log) = log {
        blocking(move || Sink::reopen(&log)).await.step(what)?;
    }
    Ok(Done {})
}
