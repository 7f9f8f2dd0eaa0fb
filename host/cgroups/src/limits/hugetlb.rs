use oci_spec::runtime::LinuxHugepageLimit;
use wharf_error::Result;

use super::{optional, write_if_there};
use crate::{Cgroup, Controller};

pub fn apply(cgroup: &Cgroup, limits: &[LinuxHugepageLimit], warnings: &mut Vec<String>) -> Result<()> {
    if limits.is_empty() {
        return Ok(());
    }
    let Some(slot) = optional(cgroup, Controller::Hugetlb, warnings) else { return Ok(()) };
    for limit in limits {
        let (size, value) = (limit.page_size(), limit.limit().to_string());
        let (used, reserved) = if slot.v2 {
            (format!("hugetlb.{size}.max"), format!("hugetlb.{size}.rsvd.max"))
        } else {
            (format!("hugetlb.{size}.limit_in_bytes"), format!("hugetlb.{size}.rsvd.limit_in_bytes"))
        };
        write_if_there(&slot, &used, &value, warnings)?;
        // Without this one a process that only reserves is not held back; kernels before 5.7 lack it.
        if slot.has(&reserved) {
            slot.write(&reserved, &value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Own;
    use oci_spec::runtime::{LinuxHugepageLimitBuilder, LinuxResourcesBuilder};

    #[test]
    fn without_the_controller_there_is_one_warning() {
        let own = Own::new("hugetlb");
        let limit = |size: &str| LinuxHugepageLimitBuilder::default().page_size(size).limit(0).build().unwrap();
        let limits = vec![limit("2MB"), limit("1GB")];
        let resources = LinuxResourcesBuilder::default().hugepage_limits(limits).build().unwrap();
        let warnings = own.cgroup.apply(&resources).unwrap();
        if own.cgroup.slot(Controller::Hugetlb).is_none() {
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains("hugetlb"), "{warnings:?}");
        }
    }
}
