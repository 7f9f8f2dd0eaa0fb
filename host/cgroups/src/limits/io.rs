use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};
use wharf_error::Result;

use super::{optional, write_if_there};
use crate::{Cgroup, Controller, cgroup::Slot};

/// v1's file, v2's key in `io.max`.
const THROTTLES: [(&str, &str); 4] = [
    ("blkio.throttle.read_bps_device", "rbps"),
    ("blkio.throttle.write_bps_device", "wbps"),
    ("blkio.throttle.read_iops_device", "riops"),
    ("blkio.throttle.write_iops_device", "wiops"),
];

/// Leaf weights are ignored: no kernel that we run on has them.
pub fn apply(cgroup: &Cgroup, io: &LinuxBlockIo, warnings: &mut Vec<String>) -> Result<()> {
    let lists: [&[LinuxThrottleDevice]; 4] = [
        io.throttle_read_bps_device().as_deref().unwrap_or_default(),
        io.throttle_write_bps_device().as_deref().unwrap_or_default(),
        io.throttle_read_iops_device().as_deref().unwrap_or_default(),
        io.throttle_write_iops_device().as_deref().unwrap_or_default(),
    ];
    let weight = io.weight().filter(|&weight| weight != 0);
    let devices = io.weight_device().as_deref().unwrap_or_default();
    if weight.is_none() && devices.is_empty() && lists.iter().all(|list| list.is_empty()) {
        return Ok(());
    }
    let Some(slot) = optional(cgroup, Controller::Io, warnings) else { return Ok(()) };
    if let Some(weight) = weight {
        set_weight(&slot, weight, warnings)?;
    }
    for device in devices {
        if let Some(weight) = device.weight() {
            let name = if slot.v2 { "io.bfq.weight" } else { "blkio.bfq.weight_device" };
            let value = format!("{}:{} {weight}", device.major(), device.minor());
            write_if_there(&slot, name, &value, warnings)?;
        }
    }
    for ((v1, v2), list) in THROTTLES.into_iter().zip(lists) {
        for device in list {
            let (major, minor, rate) = (device.major(), device.minor(), device.rate());
            if slot.v2 {
                let rate = if rate == 0 { "max".into() } else { rate.to_string() };
                write_if_there(&slot, "io.max", &format!("{major}:{minor} {v2}={rate}"), warnings)?;
            } else {
                write_if_there(&slot, v1, &format!("{major}:{minor} {rate}"), warnings)?;
            }
        }
    }
    Ok(())
}

/// The weight belongs to the BFQ scheduler where that is built in, else to v2's cost model.
fn set_weight(slot: &Slot, weight: u16, warnings: &mut Vec<String>) -> Result<()> {
    if !slot.v2 {
        let name = if slot.has("blkio.bfq.weight") { "blkio.bfq.weight" } else { "blkio.weight" };
        return write_if_there(slot, name, &weight.to_string(), warnings);
    }
    if slot.has("io.bfq.weight") {
        return slot.write("io.bfq.weight", &weight.to_string());
    }
    // 10 to 1000 there, 1 to 10000 here.
    let scaled = 1 + u32::from(weight.clamp(10, 1000) - 10) * 9999 / 990;
    write_if_there(slot, "io.weight", &format!("default {scaled}"), warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Own, fake_v2};
    use oci_spec::runtime::{LinuxBlockIoBuilder, LinuxResources, LinuxResourcesBuilder, LinuxThrottleDeviceBuilder};

    fn resources(weight: u16, device: (i64, i64), rate: u64) -> LinuxResources {
        let throttle =
            LinuxThrottleDeviceBuilder::default().major(device.0).minor(device.1).rate(rate).build().unwrap();
        let io =
            LinuxBlockIoBuilder::default().weight(weight).throttle_read_bps_device(vec![throttle]).build().unwrap();
        LinuxResourcesBuilder::default().block_io(io).build().unwrap()
    }

    #[test]
    fn v2_has_its_own_scale_and_keys() {
        let (own, cgroup) = fake_v2(&["io.weight", "io.max"]);
        let read = |name: &str| std::fs::read_to_string(own.path().join("c").join(name)).unwrap();
        cgroup.apply(&resources(1000, (254, 0), 1_048_576)).unwrap();
        assert_eq!(read("io.weight"), "default 10000");
        assert_eq!(read("io.max"), "254:0 rbps=1048576");
    }

    #[test]
    fn a_missing_control_is_a_warning() {
        let (_own, cgroup) = fake_v2(&[]);
        let warnings = cgroup.apply(&resources(500, (254, 0), 1)).unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("io.weight"), "{warnings:?}");
    }

    #[test]
    fn the_kernel_takes_a_weight_or_the_caller_is_told() {
        let own = Own::new("io");
        let io = LinuxBlockIoBuilder::default().weight(100u16).build().unwrap();
        let warnings = own.cgroup.apply(&LinuxResourcesBuilder::default().block_io(io).build().unwrap()).unwrap();
        let slot = own.cgroup.slot(Controller::Io).unwrap();
        let there =
            ["blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight"].iter().any(|name| slot.has(name));
        assert_eq!(there, warnings.is_empty(), "{warnings:?}");
    }
}
