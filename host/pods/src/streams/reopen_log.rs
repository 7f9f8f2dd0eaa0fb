use wharf_error::{Result, ResultExt as _};

use crate::Pods;

impl Pods {
    /// Goes on in a new log file: whoever rotates logs has moved the old one away. On an error the old file is written
    /// on, and no new one is there.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where the container does not run, or the file cannot be made.
    pub async fn reopen_log(&self, container: &str) -> Result<()> {
        let container = self.container(container)?;
        let what = || format!("reopen the log of container {}", container.id);
        let shim = self.inner.shim_of_running(&container).await.step(what)?;
        shim.reopen_log(&container.id).await.step(what)
    }
}
