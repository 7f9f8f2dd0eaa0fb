use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use wharf_error::{Error, Result};

use crate::{Cgroup, Controller, Mode};

/// What every container may do even when all devices are denied, as the OCI specification has it: make
/// any node, and use the default devices (null, zero, full, random, urandom, tty, console, ptmx, pts).
pub(super) const ALWAYS: [&str; 10] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

/// In the order of the rules, for a later one overrides. v2 needs an eBPF program for it, which is the caller's to
/// attach ([`Cgroup::device_filter`]); where there is neither: a warning.
pub fn apply(cgroup: &Cgroup, rules: &[LinuxDeviceCgroup], warnings: &mut Vec<String>) -> Result<()> {
    let denies = rules.iter().any(|rule| !rule.allow());
    let Some(slot) = cgroup.slot(Controller::Devices) else {
        if denies && cgroup.mode() != Mode::V2 {
            warnings.push("device rules are not enforced: no devices controller of cgroup v1".into());
        }
        return Ok(());
    };
    for rule in rules {
        slot.write(if rule.allow() { "devices.allow" } else { "devices.deny" }, &text_of(rule)?)?;
    }
    if denies {
        for rule in ALWAYS {
            slot.write("devices.allow", rule)?;
        }
    }
    Ok(())
}

/// `TYPE MAJOR:MINOR ACCESS`. Absent, or negative, numbers mean any.
fn text_of(rule: &LinuxDeviceCgroup) -> Result<String> {
    let number = |n: Option<i64>| n.filter(|&n| n >= 0).map_or("*".to_owned(), |n| n.to_string());
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => "a",
        Some(LinuxDeviceType::B) => "b",
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => "c",
        Some(LinuxDeviceType::P) => return Err(Error::invalid("device rule: a FIFO is no device")),
    };
    let access = access_of(rule)?;
    // The kernel reads nothing after an `a`.
    if kind == "a" {
        return Ok("a *:* rwm".into());
    }
    Ok(format!("{kind} {}:{} {access}", number(rule.major()), number(rule.minor())))
}

/// Made of `r`, `w` and `m`; all of them when nothing is said.
pub(super) fn access_of(rule: &LinuxDeviceCgroup) -> Result<&str> {
    let access = rule.access().as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
    if access.chars().any(|c| !"rwm".contains(c)) {
        return Err(Error::invalid(format!("device rule: access `{access}` is not made of r, w and m")));
    }
    Ok(access)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Own;
    use oci_spec::runtime::{LinuxDeviceCgroupBuilder, LinuxResourcesBuilder};

    #[test]
    fn a_denied_device_cannot_be_opened() {
        let own = Own::new("devices");
        let Some(slot) = own.cgroup.slot(Controller::Devices) else { return };
        let deny = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build().unwrap();
        let tun = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(LinuxDeviceType::C)
            .major(10)
            .minor(200)
            .access("rw")
            .build()
            .unwrap();
        let resources = LinuxResourcesBuilder::default().devices(vec![deny, tun]).build().unwrap();
        assert!(own.cgroup.apply(&resources).unwrap().is_empty());
        let list = slot.read("devices.list").unwrap();
        assert!(list.contains("c 10:200 rw\n") && list.contains("c 1:3 rwm") && !list.contains("a *:*"), "{list}");
        let mut null = own.shell(&own.cgroup, "exec 3</dev/null");
        assert_eq!(null.wait().unwrap().code(), Some(0));
        // 1:11 is the kernel's log, which nobody allowed.
        let script = "f=/tmp/wharf-test-kmsg-$$; mknod $f c 1 11 && exec 2>&1; (exec 3<$f); r=$?; rm -f $f; exit $r";
        assert_ne!(own.shell(&own.cgroup, script).wait().unwrap().code(), Some(0));
    }

    #[test]
    fn odd_rules_are_refused() {
        let rule = |access: &str| LinuxDeviceCgroupBuilder::default().allow(true).access(access).build().unwrap();
        assert!(text_of(&rule("rx")).is_err());
        assert_eq!(text_of(&rule("")).unwrap(), "a *:* rwm");
    }
}
