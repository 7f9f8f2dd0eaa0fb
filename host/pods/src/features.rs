use wharf_error::{Error, Kind, Result};
use wharf_shim_api::Features;

use crate::{Pods, shim};

// === impl Pods ===

impl Pods {
    /// What the runtime handler can do on this node. Tried once, by its shim; some milliseconds. A later call waits for nothing.
    ///
    /// # Errors
    ///
    /// Where the shim cannot be run; asked again, it is tried again.
    pub async fn features(&self) -> Result<&Features> {
        let ask = || async {
            let layers = self.inner.snapshots.root();
            // Beside the plugin's own folder, on the same file system.
            let folder = layers.parent().unwrap_or(layers);
            let features = shim::features(&self.inner.config, folder).await?;
            for reason in &features.reasons {
                tracing::warn!(reason, "this node lacks something");
            }
            Ok(features)
        };
        self.inner.features.get_or_try_init(ask).await
    }

    /// Refuses a pod with a user namespace where there can be none.
    ///
    /// # Errors
    ///
    /// `Unsupported`, with the reason.
    pub async fn need_user_namespaces(&self) -> Result<()> {
        let features = self.features().await?;
        if features.user_namespaces {
            return Ok(());
        }
        let reasons = features.reasons.join("; ");
        Err(Error::new(Kind::Unsupported, format!("user namespaces are not supported on this node: {reasons}")))
    }
}
