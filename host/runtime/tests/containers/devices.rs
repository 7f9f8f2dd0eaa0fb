use std::{fs, path::PathBuf};

use wharf_runtime::attach_device_filter;

/// An own cgroup of the v2 hierarchy.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
            .into_iter()
            .map(PathBuf::from)
            .find(|root| root.join("cgroup.procs").exists() && root.join("cgroup.controllers").exists())?;
        let own = root.join(format!("wharf-test-devices-{}", std::process::id()));
        fs::create_dir(&own).ok()?;
        Some(Self(own))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// `r0 = ANSWER; exit`.
fn always(answer: u64) -> [u64; 2] {
    [0xb7 | answer << 32, 0x95]
}

#[test]
fn a_program_takes_the_place_of_the_one_before_and_a_bad_one_is_told_why() {
    let Some(group) = Group::new() else {
        eprintln!("skipped: this node has no cgroup v2 hierarchy");
        return;
    };
    for answer in [0, 1, 0] {
        attach_device_filter(&group.0, &always(answer)).unwrap();
    }
    // A register that was never set.
    let error = attach_device_filter(&group.0, &[0x95]).unwrap_err().to_string();
    let told = format!("cgroup {}: confine its devices: load the eBPF program: ", group.0.display());
    assert!(error.starts_with(&told) && error.contains("R0 !read_ok"), "{error}");
    let error = attach_device_filter(&group.0.join("gone"), &always(1)).unwrap_err().to_string();
    assert!(error.contains("open it: No such file"), "{error}");
}
