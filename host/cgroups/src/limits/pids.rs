use oci_spec::runtime::LinuxPids;
use wharf_error::Result;

use super::required;
use crate::{Cgroup, Controller};

/// 0 and below mean no limit; without the controller there is none anyway.
pub fn apply(cgroup: &Cgroup, pids: &LinuxPids) -> Result<()> {
    let limit = pids.limit();
    if limit > 0 {
        return required(cgroup, Controller::Pids)?.write("pids.max", &limit.to_string());
    }
    match cgroup.slot(Controller::Pids) {
        Some(slot) if slot.has("pids.max") => slot.write("pids.max", "max"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Controller, testing::Own};
    use oci_spec::runtime::{LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder};

    fn limit(limit: i64) -> LinuxResources {
        let pids = LinuxPidsBuilder::default().limit(limit).build().unwrap();
        LinuxResourcesBuilder::default().pids(pids).build().unwrap()
    }

    #[test]
    fn forks_beyond_the_limit_fail() {
        let own = Own::new("pids");
        own.cgroup.apply(&limit(3)).unwrap();
        let script = "sleep 600 & sleep 600 & (sleep 600 &) 2>/dev/null || exit 42; exit 0";
        let mut shell = own.shell(&own.cgroup, script);
        assert_ne!(shell.wait().unwrap().code(), Some(0), "the fourth process was allowed");
        own.cgroup.apply(&limit(0)).unwrap();
        let max = own.cgroup.slot(Controller::Pids).unwrap().read("pids.max").unwrap();
        assert_eq!(max.trim(), "max");
    }
}
