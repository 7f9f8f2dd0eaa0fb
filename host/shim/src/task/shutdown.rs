use std::sync::Arc;

use wharf_error::Result;
use wharf_shim_api::task::{Empty, ShutdownRequest};

use crate::{sandbox, shim::Shim};

/// Ends the shim when no container is left; otherwise nothing happens, as the protocol has it.
pub async fn shutdown(shim: Arc<Shim>, request: ShutdownRequest) -> Result<Empty> {
    if shim.is_empty() || request.now {
        sandbox::take_down(&shim).await?;
    }
    Ok(Empty::default())
}
