use wharf_api::cri::{CgroupDriver, LinuxRuntimeConfiguration, RuntimeConfigRequest, RuntimeConfigResponse};
use wharf_error::Result;
use wharf_pods::CgroupDriver as Ours;

use super::Runtime;

/// The kubelet takes its cgroup driver from here.
pub(super) async fn runtime_config(runtime: &Runtime, _: RuntimeConfigRequest) -> Result<RuntimeConfigResponse> {
    let driver = match runtime.pods.config().cgroup_driver {
        Ours::Cgroupfs => CgroupDriver::Cgroupfs,
        Ours::Systemd => CgroupDriver::Systemd,
    };
    let linux = LinuxRuntimeConfiguration { cgroup_driver: driver.into() };
    Ok(RuntimeConfigResponse { linux: Some(linux) })
}
