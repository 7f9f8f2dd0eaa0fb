//! An empty control group with a pod's id, in the one that its client gave it.

use wharf_error::Result;

use super::{Pod, run::blocking};
use crate::inner::Inner;

// === impl Inner ===

impl Inner {
    /// Makes it where the configuration says so. cAdvisor looks at control groups, and knows a pod, and with it the pod's
    /// network, by one: others have a pause container there. A pod whose group is ours has its id on that, and one in a scope
    /// of systemd's has a process in it from the start.
    ///
    /// Nothing but metrics depends on it, so that a failure is a warning.
    pub(crate) async fn make_mark(&self, pod: &Pod) {
        if !self.config.marks || pod.owns_cgroup || pod.scope.is_some() {
            return;
        }
        let (cgroups, path) = (self.cgroups.clone(), mark(pod));
        let made = blocking("make the pod's own control group", move || cgroups.create(&path).map(drop)).await;
        if let Err(error) = made {
            tracing::warn!(pod = %pod.id, %error, "cAdvisor will not know the pod's network");
        }
    }

    /// Removes it, whatever the configuration says now. Safe to repeat.
    pub(crate) async fn remove_mark(&self, pod: &Pod) -> Result<()> {
        // In a scope it is not empty before the shim is gone.
        if pod.owns_cgroup || pod.scope.is_some() {
            return Ok(());
        }
        let (group, deadline) = (self.cgroups.open(&mark(pod))?, self.config.kill_deadline);
        blocking("remove the pod's own control group", move || group.delete(deadline)).await
    }
}

pub(super) fn mark(pod: &Pod) -> String {
    format!("{}/{}", pod.sandbox.cgroup_parent.trim_end_matches('/'), pod.id)
}
