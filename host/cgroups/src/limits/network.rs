use oci_spec::runtime::LinuxNetwork;
use wharf_error::{Error, Result};

use super::optional;
use crate::{Cgroup, Controller};

/// Files of v1 alone: under v2 the caller is told that they are not set.
pub fn apply(cgroup: &Cgroup, network: &LinuxNetwork, warnings: &mut Vec<String>) -> Result<()> {
    if let Some(class) = network.class_id().filter(|class| *class != 0)
        && let Some(slot) = optional(cgroup, Controller::NetCls, warnings)
    {
        slot.write("net_cls.classid", &class.to_string())?;
    }
    let priorities = network.priorities().as_deref().unwrap_or_default();
    if priorities.is_empty() {
        return Ok(());
    }
    let Some(slot) = optional(cgroup, Controller::NetPrio, warnings) else { return Ok(()) };
    for one in priorities {
        let name = one.name();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Error::invalid(format!("network.priorities: {name:?} is no interface's name")));
        }
        // The kernel takes one interface a write.
        slot.write("net_prio.ifpriomap", &format!("{name} {}", one.priority()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wharf_error::Kind;

    use super::*;
    use crate::testing::{Own, fake_v1, fake_v2};

    fn set(cgroup: &Cgroup, network: Value) -> Result<Vec<String>> {
        cgroup.apply(&serde_json::from_value(json!({ "network": network })).unwrap())
    }

    #[test]
    fn class_and_priorities_go_to_their_files() {
        let (own, cgroup) =
            fake_v1(&[Controller::NetCls, Controller::NetPrio], &["net_cls.classid", "net_prio.ifpriomap"]);
        let read = |name: &str| std::fs::read_to_string(own.path().join("c").join(name)).unwrap();
        let priorities = json!([{ "name": "eth0", "priority": 5 }]);
        let warnings = set(&cgroup, json!({ "classID": 0x10_0001, "priorities": priorities })).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!((read("net_cls.classid").as_str(), read("net_prio.ifpriomap").as_str()), ("1048577", "eth0 5"));
        for bad in ["", "eth0 7\nlo"] {
            let error = set(&cgroup, json!({ "priorities": [{ "name": bad, "priority": 1 }] })).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{bad:?}: {error}");
        }
    }

    #[test]
    fn under_v2_it_is_said_that_they_are_not_set() {
        let (_own, cgroup) = fake_v2(&[]);
        let asked = json!({ "classID": 1, "priorities": [{ "name": "eth0", "priority": 5 }] });
        let warnings = set(&cgroup, asked).unwrap();
        assert!(warnings.len() == 2 && warnings[0].contains("net_cls") && warnings[1].contains("net_prio"));
        assert!(set(&cgroup, json!({ "classID": 0, "priorities": [] })).unwrap().is_empty(), "nothing is asked for");
    }

    #[test]
    fn the_kernel_takes_a_class_where_it_has_them() {
        let own = Own::new("net");
        let warnings = set(&own.cgroup, json!({ "classID": 0x10_0001 })).unwrap();
        match own.cgroup.slot(Controller::NetCls) {
            Some(slot) => assert_eq!(slot.number("net_cls.classid").unwrap(), 0x10_0001),
            None => assert_eq!(warnings.len(), 1, "{warnings:?}"),
        }
    }
}
