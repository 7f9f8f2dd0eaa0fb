use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::Controller;

/// How this node's cgroups are laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Controllers in hierarchies of their own, no cgroup2 mount.
    V1,
    /// Controllers in v1 hierarchies and a cgroup2 mount beside them, which carries no limits of ours.
    Hybrid,
    /// One cgroup2 hierarchy with all controllers.
    V2,
}

/// The cgroup mounts of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hierarchies {
    mode: Mode,
    mounted: Arc<[Hierarchy]>,
}

/// One mounted hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchy {
    pub(crate) mount: PathBuf,
    pub(crate) v2: bool,
    /// Those that we use from this hierarchy.
    pub(crate) controllers: Vec<Controller>,
}

// === impl Hierarchies ===

impl Hierarchies {
    /// Reads what is mounted. `FailedPrecondition` when no cgroup file system is.
    pub fn detect() -> Result<Self> {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").step(|| "cgroups: read mountinfo".into())?;
        Self::from_mountinfo(&mountinfo, |root| {
            fs::read_to_string(root.join("cgroup.controllers"))
                .step(|| format!("cgroups: read controllers of {}", root.display()))
        })
    }

    /// A cgroup2 hierarchy mounted at a place of its own, as if it were the only one: for who makes device filters, or
    /// delegates, on a hybrid node. It carries no limits.
    pub fn v2_at(mount: &Path) -> Self {
        let only = Hierarchy { mount: mount.to_owned(), v2: true, controllers: Vec::new() };
        Self { mode: Mode::V2, mounted: [only].into() }
    }

    pub(crate) fn from_mountinfo(text: &str, controllers_of: impl Fn(&Path) -> Result<String>) -> Result<Self> {
        let mut mounted: Vec<Hierarchy> = Vec::new();
        let mut unified: Option<PathBuf> = None;
        for line in text.lines() {
            let Some((mount, kind, options)) = parse_mount(line) else { continue };
            match kind {
                // Bind mounts of the same hierarchy elsewhere come later and are not the node's own.
                "cgroup2" => unified = unified.or(Some(mount)),
                "cgroup" => {
                    let names: Vec<&str> = options.split(',').collect();
                    let named = names.iter().any(|name| name.starts_with("name="));
                    let controllers: Vec<_> = names.iter().filter_map(|name| Controller::from_name(name)).collect();
                    let known = mounted.iter().any(|h| {
                        h.controllers == controllers
                            && (!controllers.is_empty() || h.mount.file_name() == mount.file_name())
                    });
                    if (named || !controllers.is_empty()) && !known {
                        mounted.push(Hierarchy { mount, v2: false, controllers });
                    }
                }
                _ => {}
            }
        }
        let v1_limits = mounted.iter().any(|h| !h.controllers.is_empty());
        let mode = match (&unified, v1_limits) {
            (Some(_), false) => Mode::V2,
            (Some(_), true) => Mode::Hybrid,
            (None, _) if mounted.is_empty() => {
                return Err(Error::new(Kind::FailedPrecondition, "cgroups: no cgroup file system is mounted")
                    .hint("mount cgroup2 at /sys/fs/cgroup"));
            }
            (None, _) => Mode::V1,
        };
        if let Some(mount) = unified {
            let controllers = match mode {
                Mode::V2 => controllers_of(&mount)?.split_whitespace().filter_map(Controller::from_name).collect(),
                // What a hybrid's cgroup2 still has is whatever nobody mounted as v1, and enabling it
                // from the root down would change a tree that others share.
                _ => Vec::new(),
            };
            mounted.push(Hierarchy { mount, v2: true, controllers });
        }
        Ok(Self { mode, mounted: mounted.into() })
    }

    /// How the cgroups are laid out.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The controllers with which limits can be set here.
    pub fn controllers(&self) -> Vec<Controller> {
        self.mounted.iter().flat_map(|h| h.controllers.iter().copied()).collect()
    }

    pub(crate) fn mounted(&self) -> &[Hierarchy] {
        &self.mounted
    }

    #[cfg(test)]
    pub(crate) fn of(mode: Mode, mounted: Vec<Hierarchy>) -> Self {
        Self { mode, mounted: mounted.into() }
    }
}

/// Mount point, file system type and its own options of a mountinfo line.
fn parse_mount(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mount = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let kind = after.next()?;
    let options = after.nth(1)?;
    // Spaces and the like are octal escapes; nobody mounts cgroups at such a place.
    (!mount.contains('\\')).then(|| (PathBuf::from(mount), kind, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime shared:4 - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
39 30 0:28 / /elsewhere/memory rw,relatime - cgroup cgroup rw,memory
40 30 0:30 / /elsewhere/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn v2_controllers(_: &Path) -> Result<String> {
        Ok("cpuset cpu io memory hugetlb pids rdma misc\n".into())
    }

    #[test]
    fn a_hybrid_keeps_its_limits_in_v1() {
        let found = Hierarchies::from_mountinfo(HYBRID, v2_controllers).unwrap();
        assert_eq!(found.mode(), Mode::Hybrid);
        assert_eq!(found.controllers(), [Controller::Cpu, Controller::Cpuacct, Controller::Memory]);
        let mounts: Vec<_> = found.mounted().iter().map(|h| h.mount.to_str().unwrap()).collect();
        assert_eq!(
            mounts,
            ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"],
            "the same hierarchy mounted twice is one"
        );
    }

    #[test]
    fn v2_alone_and_v1_alone() {
        let only = |kind: &str| HYBRID.lines().filter(|l| l.contains(kind)).collect::<Vec<_>>().join("\n");
        let v2 = Hierarchies::from_mountinfo(&only("- cgroup2 "), v2_controllers).unwrap();
        assert_eq!(v2.mode(), Mode::V2);
        assert!(v2.controllers().contains(&Controller::Io));
        assert_eq!(Hierarchies::from_mountinfo(&only("- cgroup "), v2_controllers).unwrap().mode(), Mode::V1);
        let none = Hierarchies::from_mountinfo(&only("- tmpfs "), v2_controllers).unwrap_err();
        assert_eq!(none.kind(), Kind::FailedPrecondition);
    }

    #[test]
    fn this_node_has_cgroups() {
        let here = Hierarchies::detect().unwrap();
        assert!(here.controllers().contains(&Controller::Memory), "{here:?}");
    }
}
