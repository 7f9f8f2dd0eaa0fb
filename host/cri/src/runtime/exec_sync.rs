use std::time::Duration;

use wharf_api::cri::{ExecSyncRequest, ExecSyncResponse};
use wharf_error::{Error, Result};
use wharf_pods::ExecRequest;

use super::Runtime;

/// Each stream is cut at 16 MiB. Zero seconds: no timeout.
pub(super) async fn exec_sync(runtime: &Runtime, request: ExecSyncRequest) -> Result<ExecSyncResponse> {
    let seconds = u64::try_from(request.timeout)
        .map_err(|_| Error::invalid(format!("exec: timeout {} is negative", request.timeout)))?;
    let exec =
        ExecRequest { args: request.cmd, timeout: Some(Duration::from_secs(seconds)).filter(|time| !time.is_zero()) };
    let output = runtime.pods.exec_sync(&request.container_id, exec).await?;
    Ok(ExecSyncResponse { stdout: output.stdout, stderr: output.stderr, exit_code: output.exit_code })
}
