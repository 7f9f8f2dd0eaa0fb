//! A container's control group, by the path in its record.

use std::time::Duration;

use oci_spec::runtime::{LinuxResources, Spec};
use wharf_cgroups::{Cgroup, Hierarchies};
use wharf_error::{Error, Kind, Result};
use wharf_runtime::{CgroupJoin, attach_device_filter};

/// How long killed processes may take to leave it.
const EMPTY: Duration = Duration::from_secs(10);

const SIGKILL: i32 = 9;

/// The specification's path, taken from the root of every hierarchy also when it is relative; without one, one of the
/// container's own.
pub(crate) fn path_of(spec: &Spec, id: &str) -> Result<String> {
    let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(format!("/wharf-oci-{id}"));
    };
    let text = path.to_str().ok_or_else(|| Error::invalid("linux.cgroupsPath is not text"))?;
    if text.split(':').count() == 3 {
        return Err(Error::new(Kind::Unsupported, format!("linux.cgroupsPath {text:?} is systemd's"))
            .hint("give the path of a control group: systemd's are not supported"));
    }
    Ok(format!("/{}", text.trim_start_matches('/')))
}

pub(crate) fn open(path: &str) -> Result<Cgroup> {
    Hierarchies::detect()?.open(path)
}

/// Makes it; refused when others' processes are in it, for they would be killed and limited with the container.
pub(crate) fn create(path: &str) -> Result<Cgroup> {
    let hierarchies = Hierarchies::detect()?;
    let inside = hierarchies.open(path)?.pids()?;
    if !inside.is_empty() {
        let what = format!("container's cgroup is not empty: {path} holds processes {inside:?}");
        return Err(
            Error::new(Kind::FailedPrecondition, what).hint("give each container a linux.cgroupsPath of its own")
        );
    }
    let cgroup = hierarchies.create(path)?;
    // What a container is born into frozen it never leaves.
    cgroup.thaw()?;
    Ok(cgroup)
}

pub(crate) fn join(cgroup: &Cgroup) -> Result<CgroupJoin> {
    let files = cgroup.join_files()?;
    Ok(CgroupJoin { tasks: files.tasks, unified: files.unified })
}

/// Sets limits and devices; what this node cannot is returned, a sentence each.
pub(crate) fn limit(group: &Cgroup, resources: &LinuxResources) -> Result<Vec<String>> {
    let warnings = group.apply(resources)?;
    if let Some(filter) = group.device_filter(resources)? {
        attach_device_filter(&filter.directory, &filter.program)?;
    }
    Ok(warnings)
}

/// Of one that is gone: no.
pub(crate) fn is_frozen(path: &str) -> bool {
    open(path).and_then(|cgroup| cgroup.is_frozen()).unwrap_or(false)
}

/// Ends all that is in it and removes it. Absent is success.
pub(crate) fn clear(path: &str) -> Result<()> {
    let cgroup = open(path)?;
    cgroup.kill(SIGKILL)?;
    cgroup.delete(EMPTY)
}
