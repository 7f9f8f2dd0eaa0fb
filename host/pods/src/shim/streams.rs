use std::path::PathBuf;

use wharf_error::Result;
use wharf_shim_api::{AttachEnd, AttachRequest, CheckMountsRequest, ImageMount, ReopenLogRequest};

use super::Shim;

// === impl Shim ===

impl Shim {
    /// Copies between FIFOs and a container's streams, as long as both sides go on.
    pub(crate) async fn attach(&self, request: &AttachRequest) -> Result<AttachEnd> {
        let streams = self.streams();
        let attached =
            self.ask_for_ever("attach", |context| async move { streams.attach(context, request).await }).await?;
        Ok(attached.end)
    }

    /// Tries to mount images, and leaves nothing.
    pub(crate) async fn check_image_mounts(&self, root: PathBuf, image_mounts: Vec<ImageMount>) -> Result<()> {
        let request = CheckMountsRequest { root, image_mounts };
        let (streams, request) = (self.streams(), &request);
        self.ask("mount images", |context| async move { streams.check_mounts(context, request).await }).await
    }

    /// Goes on in a new log file under the old one's name.
    pub(crate) async fn reopen_log(&self, container: &str) -> Result<()> {
        let request = ReopenLogRequest { container: container.to_owned() };
        let streams = self.streams();
        self.ask("reopen log", |context| async move { streams.reopen_log(context, &request).await }).await
    }
}
