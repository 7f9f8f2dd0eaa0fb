use std::io;

use oci_spec::runtime::LinuxCpu;
use wharf_error::Result;

use super::{required, write_if_there};
use crate::{Cgroup, Controller, cgroup::Slot};

const QUOTA: &str = "cpu.cfs_quota_us";
const PERIOD: &str = "cpu.cfs_period_us";

pub fn apply(cgroup: &Cgroup, cpu: &LinuxCpu, warnings: &mut Vec<String>) -> Result<()> {
    let set = |name: &str| !name.is_empty();
    let cpus = cpu.cpus().as_deref().filter(|cpus| set(cpus));
    let mems = cpu.mems().as_deref().filter(|mems| set(mems));
    if cpus.is_some() || mems.is_some() {
        let slot = required(cgroup, Controller::Cpuset)?;
        for (name, value) in [("cpuset.cpus", cpus), ("cpuset.mems", mems)] {
            if let Some(value) = value {
                slot.write(name, value)?;
            }
        }
    }
    let shares = cpu.shares().filter(|&shares| shares != 0);
    let quota = cpu.quota().filter(|&quota| quota != 0);
    let period = cpu.period().filter(|&period| period != 0);
    let real_time = cpu.realtime_runtime().is_some() || cpu.realtime_period().is_some();
    let extras = cpu.burst().is_some() || cpu.idle().is_some();
    if shares.is_none() && quota.is_none() && period.is_none() && !extras && !real_time {
        return Ok(());
    }
    let slot = required(cgroup, Controller::Cpu)?;
    if let Some(shares) = shares {
        if slot.v2 {
            slot.write("cpu.weight", &weight_of(shares).to_string())?;
        } else {
            slot.write("cpu.shares", &shares.to_string())?;
        }
    }
    if slot.v2 {
        set_v2(&slot, quota, period)?;
    } else {
        set_v1(&slot, quota, period)?;
    }
    if let Some(burst) = cpu.burst() {
        let name = if slot.v2 { "cpu.max.burst" } else { "cpu.cfs_burst_us" };
        write_if_there(&slot, name, &burst.to_string(), warnings)?;
    }
    if let Some(idle) = cpu.idle() {
        write_if_there(&slot, "cpu.idle", &idle.to_string(), warnings)?;
    }
    for (name, value) in [
        ("cpu.rt_period_us", cpu.realtime_period().map(|period| period.to_string())),
        ("cpu.rt_runtime_us", cpu.realtime_runtime().map(|runtime| runtime.to_string())),
    ] {
        if let Some(value) = value {
            write_if_there(&slot, name, &value, warnings)?;
        }
    }
    Ok(())
}

/// The kernel judges the pair at each write: a period that does not fit the old quota may fit the new.
fn set_v1(slot: &Slot, quota: Option<i64>, period: Option<u64>) -> Result<()> {
    let mut again = None;
    if let Some(period) = period.map(|period| period.to_string()) {
        match slot.try_write(PERIOD, &period) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && quota.is_some() => again = Some(period),
            Err(error) => return Err(slot.refused(PERIOD, &period, &error)),
            Ok(()) => {}
        }
    }
    if let Some(quota) = quota {
        slot.write(QUOTA, &quota.max(-1).to_string())?;
    }
    again.map_or(Ok(()), |period| slot.write(PERIOD, &period))
}

fn set_v2(slot: &Slot, quota: Option<i64>, period: Option<u64>) -> Result<()> {
    let quota = match (quota, period) {
        (None, None) => return Ok(()),
        (Some(quota), _) if quota < 0 => "max".to_owned(),
        (Some(quota), _) => quota.to_string(),
        // One file holds both: the quota stays what it is.
        (None, Some(_)) => slot.read("cpu.max")?.split_whitespace().next().unwrap_or("max").to_owned(),
    };
    let value = period.map_or(quota.clone(), |period| format!("{quota} {period}"));
    slot.write("cpu.max", &value)
}

/// v1's shares (2 to 262144, default 1024) as v2's weight (1 to 10000, default 100), by the curve on
/// which both ends and both defaults meet; other runtimes and the kubelet use the same one.
pub fn weight_of(shares: u64) -> u64 {
    const SHARES: (u64, u64) = (2, 262_144);
    if shares <= SHARES.0 {
        return 1;
    }
    if shares >= SHARES.1 {
        return 10_000;
    }
    #[allow(clippy::cast_precision_loss, reason = "at most 262144")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10000")]
    let weight = 10f64.powf(exponent).ceil() as u64;
    weight.clamp(1, 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Own, fake_v2};
    use oci_spec::runtime::{LinuxCpuBuilder, LinuxResources, LinuxResourcesBuilder};
    use wharf_error::Kind;

    fn resources(cpu: LinuxCpuBuilder) -> LinuxResources {
        LinuxResourcesBuilder::default().cpu(cpu.build().unwrap()).build().unwrap()
    }

    #[test]
    fn ends_and_defaults_of_both_scales_meet() {
        for (shares, weight) in [(1, 1), (2, 1), (1024, 100), (262_144, 10_000), (300_000, 10_000)] {
            assert_eq!(weight_of(shares), weight, "{shares}");
        }
        let weights: Vec<_> = (2..5000).map(weight_of).collect();
        assert!(weights.is_sorted());
    }

    #[test]
    fn shares_quota_period_and_cpuset_reach_v1() {
        let own = Own::new("cpu");
        let slot = own.cgroup.slot(Controller::Cpu).unwrap();
        if slot.v2 {
            return;
        }
        let cpu = LinuxCpuBuilder::default().shares(512u64).quota(50_000).period(100_000u64).cpus("0").mems("0");
        assert!(own.cgroup.apply(&resources(cpu)).unwrap().is_empty());
        assert_eq!(slot.number("cpu.shares").unwrap(), 512);
        assert_eq!(slot.number(QUOTA).unwrap(), 50_000);
        assert_eq!(slot.number(PERIOD).unwrap(), 100_000);
        assert_eq!(own.cgroup.slot(Controller::Cpuset).unwrap().read("cpuset.cpus").unwrap().trim(), "0");
        let cpu = LinuxCpuBuilder::default().quota(-1);
        own.cgroup.apply(&resources(cpu)).unwrap();
        assert_eq!(slot.read(QUOTA).unwrap().trim(), "-1");
    }

    #[test]
    fn what_the_kernel_refuses_is_invalid_and_named() {
        let own = Own::new("cpu-bad");
        let error = own.cgroup.apply(&resources(LinuxCpuBuilder::default().cpus("9999"))).unwrap_err();
        assert!(error.to_string().contains("cpuset.cpus"), "{error}");
        if !own.cgroup.slot(Controller::Cpu).unwrap().v2 {
            let error = own.cgroup.apply(&resources(LinuxCpuBuilder::default().period(1u64))).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
        }
    }

    #[test]
    fn v2_has_one_file_for_quota_and_period() {
        let (own, cgroup) = fake_v2(&["cpu.weight", "cpu.max"]);
        let read = |name: &str| std::fs::read_to_string(own.path().join("c").join(name)).unwrap();
        cgroup.apply(&resources(LinuxCpuBuilder::default().shares(1024u64).quota(50_000).period(100_000u64))).unwrap();
        assert_eq!(read("cpu.weight"), "100");
        assert_eq!(read("cpu.max"), "50000 100000");
    }
}
