use oci_spec::runtime::Process as ProcessSpec;

use crate::{CgroupJoin, ProcessStdio};

/// A further process for a running container.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// What to run, as whom. `user.username` overrides `uid` and `gid`, as at create.
    pub process: &'a ProcessSpec,
    /// Where it reads and writes.
    pub stdio: ProcessStdio,
    /// The container's cgroup.
    pub cgroup: Option<CgroupJoin>,
}
