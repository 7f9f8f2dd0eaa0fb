use std::collections::HashMap;

use oci_spec::runtime::LinuxRdma;
use wharf_error::{Error, Result};

use super::optional;
use crate::{Cgroup, Controller};

/// One file with the same words in either version.
pub fn apply(cgroup: &Cgroup, limits: &HashMap<String, LinuxRdma>, warnings: &mut Vec<String>) -> Result<()> {
    if limits.is_empty() {
        return Ok(());
    }
    let Some(slot) = optional(cgroup, Controller::Rdma, warnings) else { return Ok(()) };
    let mut limits: Vec<_> = limits.iter().collect();
    limits.sort_by_key(|(device, _)| *device);
    for (device, limit) in limits {
        if device.is_empty() || device.contains(char::is_whitespace) {
            return Err(Error::invalid(format!("rdma: {device:?} is no device's name")));
        }
        let mut line = device.clone();
        for (key, value) in [("hca_handle", limit.hca_handles()), ("hca_object", limit.hca_objects())] {
            if let Some(value) = value {
                line.push_str(&format!(" {key}={value}"));
            }
        }
        // What is not named stays as it is.
        if line != *device {
            slot.write("rdma.max", &line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wharf_error::Kind;

    use super::*;
    use crate::testing::{Own, fake_v1, fake_v2};

    fn set(cgroup: &Cgroup, rdma: Value) -> Result<Vec<String>> {
        cgroup.apply(&serde_json::from_value(json!({ "rdma": rdma })).unwrap())
    }

    #[test]
    fn both_versions_have_the_same_file() {
        let fakes = [fake_v1(&[Controller::Rdma], &["rdma.max"]), fake_v2(&["rdma.max"])];
        for (own, cgroup) in &fakes {
            let read = || std::fs::read_to_string(own.path().join("c/rdma.max")).unwrap();
            assert!(set(cgroup, json!({ "mlx5_0": { "hcaHandles": 2, "hcaObjects": 2000 } })).unwrap().is_empty());
            assert_eq!(read(), "mlx5_0 hca_handle=2 hca_object=2000");
            let error = set(cgroup, json!({ "a b": { "hcaHandles": 2 } })).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
        }
        let (own, cgroup) = fake_v2(&["rdma.max"]);
        set(&cgroup, json!({ "mlx5_1": { "hcaHandles": 3 }, "mlx5_2": {} })).unwrap();
        assert_eq!(std::fs::read_to_string(own.path().join("c/rdma.max")).unwrap(), "mlx5_1 hca_handle=3");
    }

    #[test]
    fn the_kernel_judges_a_device_that_is_not_there() {
        let own = Own::new("rdma");
        let set = set(&own.cgroup, json!({ "nowhere": { "hcaHandles": 2 } }));
        match own.cgroup.slot(Controller::Rdma) {
            Some(_) => assert!(set.unwrap_err().to_string().contains("nowhere hca_handle=2"), "rdma.max is written"),
            None => assert!(set.unwrap()[0].contains("rdma")),
        }
    }
}
