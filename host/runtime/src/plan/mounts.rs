use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use oci_spec::runtime::{Mount, Spec};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{
    c_string, cgroup_mounts,
    copy_up::copy_up,
    idmap::idmap,
    mount_options::{Options, parse},
    strings::inside,
};
use crate::{
    Root, SharedMemory, UserNamespace,
    child::{FileSystem, Holder, Op, Program},
    sys::{self, Attributes},
};

/// Where a specification's mounts go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MountPlan<'a> {
    /// The root, as the image has it.
    pub(crate) root: BorrowedFd<'a>,
    /// Sources of bind mounts that are no paths, by destination.
    pub(crate) sources: &'a BTreeMap<PathBuf, Root>,
    /// The user namespace of the container, if it has one.
    pub(crate) user: Option<&'a UserNamespace>,
    /// Whether it has a cgroup namespace.
    pub(crate) has_cgroup_namespace: bool,
    /// SELinux' label of the container's files.
    pub(crate) label: Option<&'a CStr>,
    /// The pod's, where the container is in its IPC namespace.
    pub(crate) shared_memory: Option<&'a SharedMemory>,
}

/// Kinds whose files have no labels of their own, and get the container's.
const LABELLED: [&str; 2] = ["tmpfs", "devpts"];

/// Adds the steps that mount what the specification lists, in its order. Bind sources are opened here, in the host's
/// mount namespace. Returns the steps that make a tmpfs read-only, to be added when all is in it.
/// A tmpfs at `/dev/shm` is the pod's memory where there is such.
pub(crate) fn plan_mounts(spec: &Spec, plan: MountPlan<'_>, program: &mut Program) -> Result<Vec<(String, Op)>> {
    let mut late = Vec::new();
    for mount in spec.mounts().iter().flatten() {
        let at = inside("mount point", mount.destination())?;
        let options = parse(mount)?;
        let name = format!("mount {}", mount.destination().display());
        let memory = plan.shared_memory.filter(|_| mount.destination() == Path::new("/dev/shm"));
        match (mount.typ().as_deref(), memory) {
            _ if options.bind => bind(mount, plan, at, options, name, program)?,
            (Some("tmpfs"), Some(memory)) => shared(memory, at, &options, name, program)?,
            (Some("cgroup" | "cgroup2"), _) => {
                cgroup_mounts::plan(mount.destination(), options, plan.has_cgroup_namespace, program, &mut late)?;
            }
            (Some(kind), _) => file_system(mount, kind, plan, at, options, name, program, &mut late)?,
            (None, _) => return Err(Error::invalid(format!("{name}: it has no type"))),
        }
    }
    Ok(late)
}

fn bind(
    mount: &Mount,
    plan: MountPlan<'_>,
    at: Vec<u8>,
    options: Options,
    name: String,
    program: &mut Program,
) -> Result<()> {
    let user = plan.user;
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    let step = || format!("{name}: bind source {}", source.display());
    let tree = match plan.sources.get(mount.destination()) {
        Some(given) => given.as_fd().try_clone_to_owned().step(step)?,
        None => {
            if !source.is_absolute() {
                return Err(Error::invalid(format!("{name}: the bind source {source:?} is not absolute")));
            }
            let path = c_string("bind source", source)?;
            let tree = sys::clone_tree(libc::AT_FDCWD, &path, options.recursive).map_err(io::Error::from);
            let tree = tree.step_as(Kind::FailedPrecondition, step)?;
            // SAFETY: the kernel has just made this descriptor for us alone.
            unsafe { OwnedFd::from_raw_fd(tree) }
        }
    };

    if let Some(recursive) = options.idmap {
        idmap(&tree, mount, user, recursive).step(step)?;
    }
    let (propagation, all) = options.propagation.unwrap_or((libc::MS_PRIVATE, true));
    if propagation == libc::MS_SHARED && user.is_some() {
        let what = format!("{name}: a user namespace shares no mounts with the host");
        return Err(Error::new(Kind::Unsupported, what).hint("rslave lets the host's mounts in"));
    }
    let mut own = options.own;
    let mut below = options.all;
    if all {
        below.propagation = propagation;
    } else {
        own.propagation = propagation;
    }
    for (recursive, attributes) in [(true, below), (false, own)] {
        set(&tree, recursive, &attributes).step(|| format!("{name}: set its options"))?;
    }
    let directory = sys::stat(tree.as_raw_fd()).map_err(io::Error::from).step(step)?.is_directory();
    let holder = if directory { Holder::Directory } else { Holder::File };
    let tree = program.adopt(tree)?;
    program.step(name, Op::Attach { tree, at, holder });
    Ok(())
}

/// One more mount of the pod's memory, which has its own size and mode.
fn shared(memory: &SharedMemory, at: Vec<u8>, options: &Options, name: String, program: &mut Program) -> Result<()> {
    let tree = memory.mount().step(|| name.clone())?;
    set(&tree, false, &options.own).step(|| format!("{name}: set its options"))?;
    let tree = program.adopt(tree)?;
    program.step(name, Op::Attach { tree, at, holder: Holder::Directory });
    Ok(())
}

fn set(tree: &OwnedFd, recursive: bool, attributes: &Attributes) -> io::Result<()> {
    if *attributes == Attributes::default() {
        return Ok(());
    }
    Ok(sys::set_attributes(tree.as_raw_fd(), recursive, attributes)?)
}

#[allow(clippy::too_many_arguments, reason = "the parts of one mount, put together once")]
fn file_system(
    mount: &Mount,
    kind: &str,
    plan: MountPlan<'_>,
    at: Vec<u8>,
    mut options: Options,
    name: String,
    program: &mut Program,
    late: &mut Vec<(String, Op)>,
) -> Result<()> {
    if options.all != Attributes::default() {
        return Err(Error::invalid(format!("{name}: recursive options are for bind mounts")));
    }
    let holder = if matches!(kind, "proc" | "sysfs") { Holder::PlainDirectory } else { Holder::Directory };
    // What belongs into a tmpfs (mount points, devices) is made before it becomes read-only.
    let readonly = u64::from(sys::READ_ONLY);
    if kind == "tmpfs" && options.own.set & readonly != 0 {
        options.own.set &= !readonly;
        late.push((format!("{name}: make it read-only"), Op::MakeReadonly { at: at.clone() }));
    }
    let source = mount.source().as_deref().filter(|source| !source.as_os_str().is_empty());
    let source = c_string("mount source", source.unwrap_or(Path::new(kind)))?;
    let mut data = vec![(c"source".to_owned(), Some(source))];
    if let Some(user) = plan.user {
        options.data.iter_mut().try_for_each(|option| to_host(option, user)).step(|| name.clone())?;
    }
    data.append(&mut options.data);
    if let Some(label) = plan.label.filter(|_| LABELLED.contains(&kind)) {
        data.push((c"context".to_owned(), Some(label.to_owned())));
    }
    let system = new(kind, data, &options, at, holder)?;
    if options.copy_up
        && let Some(tree) = copy_up(plan.root, mount.destination(), &system).step(|| name.clone())?
    {
        let (tree, at) = (program.adopt(tree)?, system.at);
        program.step(name, Op::Attach { tree, at, holder });
        return Ok(());
    }
    program.step(name, Op::Mount(system));
    Ok(())
}

/// The mounter is not in the user namespace: owners that options name are told as the host knows them.
fn to_host((key, value): &mut (CString, Option<CString>), user: &UserNamespace) -> Result<()> {
    let number = value.as_ref().and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let host = match (key.to_bytes(), number) {
        (b"uid", Some(uid)) => user.mappings().host_uid(uid)?,
        (b"gid", Some(gid)) => user.mappings().host_gid(gid)?,
        _ => return Ok(()),
    };
    *value = Some(c_string("mount option", host.to_string())?);
    Ok(())
}

/// A new file system with a mount's attributes.
pub(super) fn new(
    kind: &str,
    data: Vec<(std::ffi::CString, Option<std::ffi::CString>)>,
    options: &Options,
    at: Vec<u8>,
    holder: Holder,
) -> Result<FileSystem> {
    let attributes = u32::try_from(options.own.set).map_err(|_| Error::internal("mount attributes above 32 bits"))?;
    let then = options.propagation.map(|(propagation, _)| Attributes { propagation, ..Attributes::default() });
    Ok(FileSystem { kind: c_string("file system type", kind)?, options: data, attributes, then, at, holder })
}
