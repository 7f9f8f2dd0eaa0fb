use std::path::Path;

use oci_spec::runtime::Spec;
use wharf_error::{Error, Kind, Result};

use crate::{CgroupJoin, Container, PodNamespaces, ProcessStdio, Root};

/// A container to make.
#[derive(Debug)]
pub struct CreateRequest<'a> {
    /// Its id, for error messages.
    pub id: &'a str,
    /// Its folder on the host. The root is attached at `rootfs` in it (made when missing), in the container's own
    /// mount namespace only.
    pub bundle: &'a Path,
    /// The OCI specification. `process.user.username`, when set (`user`, `user:group`, `uid`, `uid:gid`), overrides
    /// `uid` and `gid` by the root's own `/etc/passwd` and `/etc/group`.
    ///
    /// A namespace listed with a path is joined; one listed without joins the pod's, or is new where the pod has
    /// none; one that is not listed stays the caller's. A mount namespace must be listed and is always new.
    pub spec: &'a Spec,
    /// The root: used up, also by a failure.
    pub root: Root,
    /// The pod's namespaces.
    pub namespaces: &'a PodNamespaces,
    /// The cgroup to join.
    pub cgroup: Option<CgroupJoin>,
    /// Whether the groups that `/etc/group` lists for the user named by `username` are added (CRI's `Merge`).
    pub merge_image_groups: bool,
    /// Where its first process reads and writes.
    pub stdio: ProcessStdio,
}

/// Makes a container up to the point before its program: namespaces, cgroup, mounts, devices, credentials. It stands
/// there until [`Container::start`]; when the caller dies before, so does it.
///
/// The process is a child of the calling process, which reaps it (`waitid(P_PIDFD)`). On an error nothing of it is
/// left and it has been reaped. What this crate does not do yet (user namespaces, seccomp, AppArmor, SELinux, hooks)
/// is refused with `Unsupported` and the field's name. Gives up after 30 seconds, naming the step.
pub fn create(request: CreateRequest<'_>) -> Result<Container> {
    let _ = request;
    Err(Error::new(Kind::Unsupported, "not built yet"))
}
