use std::sync::Arc;

use wharf_error::{Result, ResultExt as _};
use wharf_shim_api::{CheckMountsRequest, Done};

use crate::{image_mounts::assemble, operation::blocking, shim::Shim};

/// Mounts the images as a container of this pod would, for its user namespace too, and drops them.
pub async fn check_mounts(shim: Arc<Shim>, request: CheckMountsRequest) -> Result<Done> {
    let namespaces = shim.sandbox().map(|sandbox| sandbox.namespaces.clone()).unwrap_or_default();
    blocking(move || {
        let user = namespaces.user.as_deref();
        for mount in &request.image_mounts {
            assemble(mount, &request.root, user).step(|| format!("mount {}", mount.destination.display()))?;
        }
        Ok(Done {})
    })
    .await
}
