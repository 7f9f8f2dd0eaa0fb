//! The container's view of its cgroup. On v1 a tmpfs with one mount of each hierarchy in it, under the names that the
//! host gives them; on v2 one mount. Each shows the container's own cgroup as the root, for it is mounted from inside
//! a cgroup namespace, also when the container does not keep one.

use std::{
    ffi::{CString, OsStr},
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use wharf_error::{Result, ResultExt as _};

use super::{c_string, mount_options::Options, mounts::new};
use crate::{
    child::{Holder, Op, Program},
    namespaces::open_namespace,
    sys,
};

/// A hierarchy of the host's.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Hierarchy {
    /// `cgroup` or `cgroup2`.
    kind: &'static str,
    /// Where the host has mounted it.
    mounted_at: PathBuf,
    /// `cpu`, `name=systemd`: empty for v2.
    controllers: Vec<String>,
}

/// Adds the steps.
pub(super) fn plan(
    at: &Path,
    mut options: Options,
    has_namespace: bool,
    program: &mut Program,
    late: &mut Vec<(String, Op)>,
) -> Result<()> {
    static FOUND: OnceLock<Vec<Hierarchy>> = OnceLock::new();
    let hierarchies = match FOUND.get() {
        Some(found) => found,
        None => {
            let found = find()?;
            FOUND.get_or_init(|| found)
        }
    };
    let name = format!("mount {}", at.display());
    if !has_namespace {
        program.step(format!("{name}: look from inside"), Op::Unshare(libc::CLONE_NEWCGROUP));
    }
    if let [only @ Hierarchy { kind: "cgroup2", .. }] = hierarchies.as_slice() {
        mount(only, at, &options, name.clone(), program)?;
    } else {
        let readonly = u64::from(sys::READ_ONLY);
        let wanted = options.own.set;
        options.own.set &= !readonly;
        let data =
            vec![(c"source".to_owned(), Some(c"tmpfs".to_owned())), (c"mode".to_owned(), Some(c"755".to_owned()))];
        let path = at.as_os_str().as_bytes();
        let tmpfs = new("tmpfs", data, &options, path.to_vec(), Holder::Directory)?;
        program.step(name.clone(), Op::Mount(tmpfs));
        options.own.set = wanted;
        for hierarchy in hierarchies {
            let Some(own) = hierarchy.mounted_at.file_name() else { continue };
            mount(hierarchy, &at.join(own), &options, format!("{name}/{}", own.display()), program)?;
            // `cpu` and `cpuacct` for what is mounted as `cpu,cpuacct`.
            for controller in hierarchy.controllers.iter().filter(|_| hierarchy.controllers.len() > 1) {
                if OsStr::new(controller) != own {
                    let op = Op::MakeLink {
                        target: c_string("cgroup", own)?,
                        directory: path.to_vec(),
                        name: c_string("cgroup", controller)?,
                    };
                    program.step(format!("{name}: link {controller}"), op);
                }
            }
        }
        if wanted & readonly != 0 {
            late.push((format!("{name}: make it read-only"), Op::MakeReadonly { at: path.to_vec() }));
        }
    }
    if !has_namespace {
        let namespace = program.adopt(open_namespace(Path::new("/proc/thread-self/ns/cgroup"))?)?;
        program.step(format!("{name}: go back"), Op::Enter { namespace, kinds: libc::CLONE_NEWCGROUP });
    }
    Ok(())
}

fn mount(hierarchy: &Hierarchy, at: &Path, options: &Options, name: String, program: &mut Program) -> Result<()> {
    let mut data: Vec<(CString, Option<CString>)> = vec![(c"source".to_owned(), Some(c"cgroup".to_owned()))];
    for controller in &hierarchy.controllers {
        match controller.strip_prefix("name=") {
            Some(own) => {
                data.push((c"none".to_owned(), None));
                data.push((c"name".to_owned(), Some(c_string("cgroup", own)?)));
            }
            None => data.push((c_string("cgroup", controller)?, None)),
        }
    }
    let at = at.as_os_str().as_bytes().to_vec();
    program.step(name, Op::Mount(new(hierarchy.kind, data, options, at, Holder::Directory)?));
    Ok(())
}

fn find() -> Result<Vec<Hierarchy>> {
    let mounts = fs::read("/proc/thread-self/mountinfo").step(|| "read the host's mounts".into())?;
    Ok(parse(&mounts))
}

/// The hierarchies below `/sys/fs/cgroup`, out of mountinfo.
fn parse(mounts: &[u8]) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.split(|byte| *byte == b'\n') {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let Some(dash) = fields.iter().position(|field| *field == b"-") else { continue };
        let (Some(at), Some(kind), Some(options)) = (fields.get(4), fields.get(dash + 1), fields.get(dash + 3)) else {
            continue;
        };
        let kind = match *kind {
            b"cgroup" => "cgroup",
            b"cgroup2" => "cgroup2",
            _ => continue,
        };
        let mounted_at = PathBuf::from(std::ffi::OsString::from_vec(at.to_vec()));
        if !mounted_at.starts_with("/sys/fs/cgroup") || found.iter().any(|other| other.mounted_at == mounted_at) {
            continue;
        }
        let controllers = if kind == "cgroup2" { Vec::new() } else { controllers(options) };
        found.push(Hierarchy { kind, mounted_at, controllers });
    }
    found
}

/// The controllers among a v1 superblock's options.
fn controllers(options: &[u8]) -> Vec<String> {
    const OTHERS: [&str; 9] =
        ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "all", "none"];
    let options = String::from_utf8_lossy(options);
    let of_it = |option: &&str| !OTHERS.contains(option) && !option.starts_with("release_agent=");
    options.split(',').filter(of_it).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_as_the_host_has_them() {
        let mounts = b"24 1 0:22 / /proc rw,relatime - proc proc rw\n\
            30 24 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n\
            31 30 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate\n\
            32 30 0:28 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n\
            33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            34 30 0:29 / /elsewhere/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        let own = |kind, at: &str, controllers: &[&str]| Hierarchy {
            kind,
            mounted_at: at.into(),
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!(
            parse(mounts),
            [
                own("cgroup2", "/sys/fs/cgroup/unified", &[]),
                own("cgroup", "/sys/fs/cgroup/systemd", &["name=systemd"]),
                own("cgroup", "/sys/fs/cgroup/cpu,cpuacct", &["cpu", "cpuacct"]),
            ]
        );
    }
}
