use wharf_api::cri::{AttachRequest, AttachResponse};
use wharf_error::Result;

use super::Runtime;

/// A URL for the streams of a container that runs.
pub(super) async fn attach(runtime: &Runtime, request: AttachRequest) -> Result<AttachResponse> {
    let asked = wharf_streaming::AttachRequest {
        container: runtime.pods.container(&request.container_id)?.id,
        tty: request.tty,
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr,
    };
    runtime.pods.check_attach(&asked)?;
    Ok(AttachResponse { url: runtime.streams.attach_url(asked)? })
}
