use oci_spec::runtime::LinuxResources;
use wharf_cgroups::Cgroup;
use wharf_error::Result;
use wharf_runtime::attach_device_filter;

/// Sets a container's limits, and the devices it may use, and logs what this node cannot. Blocks.
pub fn set_limits(container: &str, cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    for warning in cgroup.apply(resources)? {
        tracing::warn!(container, warning, "limit");
    }
    match cgroup.device_filter(resources)? {
        Some(filter) => attach_device_filter(&filter.directory, &filter.program),
        None => Ok(()),
    }
}
