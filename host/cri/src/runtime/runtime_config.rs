use wharf_api::cri::{CgroupDriver, LinuxRuntimeConfiguration, RuntimeConfigRequest, RuntimeConfigResponse};
use wharf_error::Result;

/// The kubelet takes its cgroup driver from here.
pub(super) async fn runtime_config(_: RuntimeConfigRequest) -> Result<RuntimeConfigResponse> {
    let linux = LinuxRuntimeConfiguration { cgroup_driver: CgroupDriver::Cgroupfs.into() };
    Ok(RuntimeConfigResponse { linux: Some(linux) })
}
