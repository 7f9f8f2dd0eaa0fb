use wharf_error::Result;

use super::Networks;

impl Networks {
    /// Whether a pod's attachments are as they were made, as far as the plugins can tell (CNI's CHECK). One call a pod
    /// at a time, and none beside [`detach`](Self::detach).
    ///
    /// # Errors
    ///
    /// What the plugin says that misses something. A pod that is not attached misses nothing.
    pub async fn check(&self, pod: &str) -> Result<()> {
        let Some(row) = self.inner.rows().get(pod).filter(|row| row.settled).cloned() else { return Ok(()) };
        let target = row.target(row.netns.clone());
        for joined in &row.joined {
            if let Some(made) = &joined.result {
                self.inner.plugins.check(&joined.network, &target, &joined.interface, made).await?;
            }
        }
        Ok(())
    }
}
