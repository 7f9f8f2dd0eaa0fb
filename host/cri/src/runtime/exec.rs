use wharf_api::cri::{ExecRequest, ExecResponse};
use wharf_error::Result;

use super::Runtime;

/// A URL for the streams; the command runs when its client comes.
pub(super) async fn exec(runtime: &Runtime, request: ExecRequest) -> Result<ExecResponse> {
    let asked = wharf_streaming::ExecRequest {
        container: runtime.pods.container(&request.container_id)?.id,
        command: request.cmd,
        tty: request.tty,
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr,
    };
    runtime.pods.check_exec(&asked)?;
    Ok(ExecResponse { url: runtime.streams.exec_url(asked)? })
}
