use wharf_error::{Result, ResultExt as _};
use wharf_shim_api::{CheckMountsRequest, Done};

use crate::{image_mounts::assemble, operation::blocking};

/// Mounts the images and drops them.
pub async fn check_mounts(request: CheckMountsRequest) -> Result<Done> {
    blocking(move || {
        for mount in &request.image_mounts {
            assemble(mount, &request.root, None).step(|| format!("mount {}", mount.destination.display()))?;
        }
        Ok(Done {})
    })
    .await
}
