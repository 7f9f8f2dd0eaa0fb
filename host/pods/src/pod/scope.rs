//! A pod's control group as a unit of systemd's.
//!
//! One scope a pod, delegated: below it everything is as it is without systemd, a group a container, made and limited by
//! ourselves. So a container's start asks systemd for nothing, and no reload sets a container's limits back.

use serde::{Deserialize, Serialize};
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::SandboxOptions;
use wharf_systemd::{Scope, Slice, is_booted};

use super::{Pod, mark::mark, run::blocking};
use crate::{config::CgroupDriver, inner::Inner, shim::Shim};

const SIGKILL: i32 = 9;

/// As many digits of a pod's id. Not all: cAdvisor takes a group whose name has 64 for a container's, and what the whole pod
/// uses would be counted once more.
const DIGITS: usize = 32;

/// The unit that a pod's control group is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct PodScope {
    /// Its name.
    pub(crate) unit: String,
    /// The slice that it is in.
    pub(crate) slice: Slice,
}

// === impl Inner ===

impl Inner {
    /// Says where the control groups of a new pod will be, by what its client says, or our own configuration where that says
    /// nothing.
    ///
    /// # Errors
    ///
    /// For a name that is the other driver's, with what must agree.
    pub(crate) fn place(&self, id: &str, sandbox: &mut SandboxOptions) -> Result<Option<PodScope>> {
        let ours = &self.config.cgroup_parent;
        match self.config.cgroup_driver {
            CgroupDriver::Cgroupfs => {
                sandbox.cgroup_parent = match sandbox.cgroup_parent.as_str() {
                    "" => format!("{}/{id}", ours.trim_end_matches('/')),
                    asked => path(asked)?,
                };
                Ok(None)
            }
            CgroupDriver::Systemd => {
                let slice = match sandbox.cgroup_parent.as_str() {
                    "" => Slice::parse(ours)?,
                    asked => slice(asked)?,
                };
                let unit = format!("wharf-{}.scope", id.get(..DIGITS).unwrap_or(id));
                sandbox.cgroup_parent = format!("{}/{unit}", slice.path());
                sandbox.holder = true;
                Ok(Some(PodScope { unit, slice }))
            }
        }
    }

    /// Has systemd make the pod's scope around the process that the shim keeps for it, and moves that into a group of its own:
    /// a group that hands controllers down has no processes.
    pub(crate) async fn enter_scope(&self, pod: &Pod, shim: &Shim) -> Result<()> {
        let Some(scope) = &pod.scope else { return Ok(()) };
        let pid = shim.holder().await?;
        let scope = Scope {
            unit: scope.unit.clone(),
            slice: scope.slice.clone(),
            description: format!("Pod {}/{} of Wharf", pod.metadata.namespace, pod.metadata.name),
            pid,
        };
        self.systemd.start_scope(&scope).await?;
        point!("pods.run.scope-started");
        let (parent, own, id) =
            (self.cgroups.open(&pod.sandbox.cgroup_parent)?, self.cgroups.open(&mark(pod))?, pod.id.clone());
        blocking("move the pod's own process", move || {
            own.adopt(pid)?;
            // Only now are there no processes where controllers are to be handed down.
            parent.create_child(&id).map(drop)
        })
        .await
    }

    /// Ends what is left in a pod's scope, then the unit, and the slices that were there only for it. Safe to repeat.
    pub(crate) async fn leave_scope(&self, pod: &Pod, scope: &PodScope) -> Result<()> {
        let (group, deadline) = (self.cgroups.open(&pod.sandbox.cgroup_parent)?, self.config.kill_deadline);
        blocking("end what is left in the pod's scope", move || {
            if group.exists() {
                group.thaw()?;
                group.kill(SIGKILL)?;
            }
            // What is empty systemd removes too; both are content with what the other has done.
            group.delete(deadline)
        })
        .await?;
        point!("pods.stop.scope-empty");
        if !is_booted() {
            // The books of a machine that has been given another first process.
            return Ok(());
        }
        // Nothing is in it, and so it ends by itself: a pod's end does not depend on process 1. It is waited for so that nothing of
        // a pod is left when its end is told, and the slice is seen empty.
        if let Err(error) = self.systemd.stop(&scope.unit).await {
            tracing::warn!(pod = %pod.id, %error, "end the scope of a pod; it is empty");
            return Ok(());
        }
        point!("pods.stop.scope");
        if let Err(error) = self.systemd.stop_idle(&scope.slice).await {
            // A slice costs nothing, and the next pod's end tries again.
            tracing::warn!(pod = %pod.id, %error, "end the slice of a pod's scope");
        }
        Ok(())
    }
}

/// A client's name for a control group that is a path.
fn path(asked: &str) -> Result<String> {
    if asked.ends_with(".slice") {
        return Err(Error::new(Kind::Unsupported, format!("linux.cgroup_parent: {asked:?} is a slice of systemd's")).hint(
            "the kubelet's cgroupDriver and [cri] cgroup_driver must agree, and here that is \"cgroupfs\": set cgroup_driver \
             to \"systemd\", or cgroupDriver to cgroupfs",
        ));
    }
    Ok(if asked.starts_with('/') { asked.to_owned() } else { format!("/{asked}") })
}

/// A client's name for a control group that is a slice.
fn slice(asked: &str) -> Result<Slice> {
    let slice = Slice::parse(asked).map_err(|error| {
        error.hint(
            "the kubelet's cgroupDriver and [cri] cgroup_driver must agree, and here that is \"systemd\": set cgroupDriver to \
             systemd, or cgroup_driver to \"cgroupfs\"",
        )
    });
    slice.step(|| "linux.cgroup_parent".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_other_driver_is_told_what_must_agree() {
        assert_eq!(path("/kubepods/burstable/x").unwrap(), "/kubepods/burstable/x");
        assert_eq!(path("kubepods/x").unwrap(), "/kubepods/x");
        let error = path("/kubepods.slice").unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("cgroupDriver"), "{error}");

        assert_eq!(slice("/a.slice/a-b.slice").unwrap().name(), "a-b.slice");
        let error = slice("/kubepods/burstable/podx").unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.to_string().contains("cgroupDriver") && error.to_string().contains("podx"), "{error}");
    }
}
