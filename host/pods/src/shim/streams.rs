use wharf_error::Result;
use wharf_shim_api::{AttachEnd, AttachRequest, ReopenLogRequest};

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

    /// Goes on in a new log file under the old one's name.
    pub(crate) async fn reopen_log(&self, container: &str) -> Result<()> {
        let request = ReopenLogRequest { container: container.to_owned() };
        let streams = self.streams();
        self.ask("reopen log", |context| async move { streams.reopen_log(context, &request).await }).await
    }
}
