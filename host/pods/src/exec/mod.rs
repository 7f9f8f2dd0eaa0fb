//! Commands in running containers.

mod pipes;
mod process;
mod stream;
mod sync;

use wharf_error::Result;

pub(crate) use self::pipes::{Pipes, Wanted};
pub use self::sync::{ExecOutput, ExecRequest};
use crate::{Container, inner::Inner, shim::Shim};

const SIGKILL: i32 = 9;

// === impl Inner ===

impl Inner {
    /// The shim of a container that runs; `FailedPrecondition` for one that does not.
    pub(crate) async fn shim_of_running(&self, container: &Container) -> Result<Shim> {
        container.expect_running()?;
        self.pod_entry(&container.pod_id)?.shim().await
    }
}
