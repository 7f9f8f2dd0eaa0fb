use std::collections::HashMap;

use wharf_error::{Error, Kind, Result};

use crate::{Cgroup, Mode};

/// Files of v2 by name, written as they are.
pub fn apply(cgroup: &Cgroup, files: &HashMap<String, String>, warnings: &mut Vec<String>) -> Result<()> {
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    for (name, value) in files {
        // A name is a file in the cgroup's own directory, of a controller's: never `cgroup.procs`.
        if name.contains('/') || name.starts_with("cgroup.") || !name.contains('.') {
            return Err(Error::invalid(format!("unified: `{name}` is not a controller's file")));
        }
        if cgroup.mode() != Mode::V2 {
            let what = format!("unified: {name}={value} needs a node with cgroup v2 alone");
            if ["memory.", "cpu.", "cpuset.", "pids."].iter().any(|kind| name.starts_with(kind)) {
                return Err(Error::new(Kind::Unsupported, what).hint("use the limit's own field instead"));
            }
            warnings.push(what);
            continue;
        }
        let Some(dir) = cgroup.unified() else { continue };
        let slot = crate::cgroup::Slot { dir, v2: true };
        for line in value.lines() {
            slot.write(name, line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Own, fake_v2};
    use oci_spec::runtime::{LinuxResources, LinuxResourcesBuilder};
    use wharf_error::Kind;

    fn unified(name: &str, value: &str) -> LinuxResources {
        LinuxResourcesBuilder::default().unified([(name.to_owned(), value.to_owned())]).build().unwrap()
    }

    #[test]
    fn files_of_v2_are_written_and_no_others() {
        let (own, cgroup) = fake_v2(&["memory.high", "cgroup.procs"]);
        cgroup.apply(&unified("memory.high", "5000")).unwrap();
        assert_eq!(std::fs::read_to_string(own.path().join("c/memory.high")).unwrap(), "5000");
        for bad in ["cgroup.procs", "../x/memory.max", "tasks"] {
            assert_eq!(cgroup.apply(&unified(bad, "1")).unwrap_err().kind(), Kind::InvalidArgument, "{bad}");
        }
        assert_eq!(cgroup.apply(&unified("memory.absent", "1")).unwrap_err().kind(), Kind::Unsupported);
    }

    #[test]
    fn the_kernel_of_v2_takes_them() {
        let own = Own::new("unified-v2");
        if own.cgroup.mode() != crate::Mode::V2 {
            eprintln!("skipped: this node has no cgroup v2 alone");
            return;
        }
        assert!(own.cgroup.apply(&unified("memory.high", "33554432")).unwrap().is_empty());
        let slot = own.cgroup.slot(crate::Controller::Memory).unwrap();
        assert_eq!(slot.number("memory.high").unwrap(), 33_554_432);
        let error = own.cgroup.apply(&unified("memory.high", "much")).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
    }

    #[test]
    fn on_v1_a_hard_limit_is_an_error_and_another_a_warning() {
        let own = Own::new("unified");
        if own.cgroup.mode() == crate::Mode::V2 {
            return;
        }
        assert_eq!(own.cgroup.apply(&unified("memory.max", "1")).unwrap_err().kind(), Kind::Unsupported);
        assert_eq!(own.cgroup.apply(&unified("io.latency", "1")).unwrap().len(), 1);
    }
}
