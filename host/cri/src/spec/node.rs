use std::{fs, path::Path, str::FromStr as _};

use oci_spec::runtime::{Capabilities, Capability};
use wharf_cgroups::{Controller, Hierarchies, Mode};
use wharf_error::{Error, Result, ResultExt as _};

use crate::apparmor;

/// What this machine has, as far as a specification depends on it. Read once; it does not change while we run.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The kernel's release.
    pub(crate) kernel: String,
    /// Its name: the pod's, where a pod has none of its own.
    pub(crate) hostname: String,
    /// What a privileged container gets: all that the daemon itself has.
    pub(crate) capabilities: Capabilities,
    /// Whether there is one cgroup2 hierarchy with all controllers.
    pub(crate) unified: bool,
    /// Whether swap can be limited.
    pub(crate) swap: bool,
    /// Whether huge pages can be limited.
    pub(crate) hugetlb: bool,
    /// Whether files carry SELinux labels here.
    pub(crate) selinux: bool,
    /// Whether AppArmor confines processes here.
    pub(crate) apparmor: bool,
    /// The lowest `oom_score_adj` that may be set, where the daemon lacks CAP_SYS_RESOURCE.
    pub(crate) oom_floor: Option<i64>,
}

/// The kernel's names in the order of their numbers.
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

// === impl Node ===

impl Node {
    /// Looks around. Reads a handful of files.
    ///
    /// # Errors
    ///
    /// Where `/proc` cannot be read or no cgroup file system is mounted.
    pub(crate) fn read() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).step(|| format!("read {path}"));
        let status = read("/proc/self/status")?;
        let capabilities = effective(&status)?;
        let hierarchies = Hierarchies::detect()?;
        let unified = hierarchies.mode() == Mode::V2;
        let oom_floor = if capabilities.contains(&Capability::SysResource) {
            None
        } else {
            Some(read("/proc/self/oom_score_adj")?.trim().parse().step(|| "read /proc/self/oom_score_adj".into())?)
        };
        Ok(Self {
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            hostname: read("/proc/sys/kernel/hostname")?.trim().to_owned(),
            capabilities,
            unified,
            swap: if unified {
                swap_v2()?
            } else {
                Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists()
            },
            hugetlb: hierarchies.controllers().contains(&Controller::Hugetlb),
            apparmor: apparmor::is_enabled(),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            oom_floor,
        })
    }
}

fn effective(status: &str) -> Result<Capabilities> {
    let unreadable = || Error::internal("/proc/self/status: no effective capabilities");
    let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:")).ok_or_else(unreadable)?;
    let bits = u64::from_str_radix(digits.trim(), 16).step(|| "read the daemon's capabilities".into())?;
    let has = |number: &usize| bits & (1 << number) != 0;
    let numbers = (0..CAPABILITIES.len()).filter(has);
    numbers.map(|number| Capability::from_str(CAPABILITIES[number]).step(|| CAPABILITIES[number].into())).collect()
}

/// The root group has no such file, so the daemon's own is asked.
fn swap_v2() -> Result<bool> {
    let own = fs::read_to_string("/proc/self/cgroup").step(|| "read /proc/self/cgroup".into())?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    Ok(Path::new("/sys/fs/cgroup").join(path).join("memory.swap.max").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_by_their_numbers() {
        let some = effective("Name:\tx\nCapEff:\t0000000000200001\n").unwrap();
        assert_eq!(some, Capabilities::from([Capability::Chown, Capability::SysAdmin]));
        assert_eq!(effective("CapEff:\t000001ffffffffff\n").unwrap().len(), 41);
        assert!(effective("CapEff: zz").is_err() && effective("").is_err());
    }

    #[test]
    fn this_node_can_be_read() {
        let node = Node::read().unwrap();
        assert!(!node.hostname.is_empty());
        assert!(node.capabilities.contains(&Capability::Chown));
    }
}
