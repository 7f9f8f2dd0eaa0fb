use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

use oci_spec::runtime::{Mount, Spec};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{
    c_string, cgroup_mounts,
    mount_options::{Options, parse},
    strings::inside,
};
use crate::{
    SharedMemory,
    child::{FileSystem, Holder, Op, Program},
    sys::{self, Attributes},
};

/// Adds the steps that mount what the specification lists, in its order. Bind sources are opened here, in the host's
/// mount namespace. Returns the steps that make a tmpfs read-only, to be added when all is in it.
/// A tmpfs at `/dev/shm` is the pod's `shared_memory` where there is such.
pub(crate) fn plan_mounts(
    spec: &Spec,
    has_cgroup_namespace: bool,
    shared_memory: Option<&SharedMemory>,
    program: &mut Program,
) -> Result<Vec<(String, Op)>> {
    let mut late = Vec::new();
    for mount in spec.mounts().iter().flatten() {
        let at = inside("mount point", mount.destination())?;
        let options = parse(mount)?;
        let name = format!("mount {}", mount.destination().display());
        let memory = shared_memory.filter(|_| mount.destination() == Path::new("/dev/shm"));
        match (mount.typ().as_deref(), memory) {
            _ if options.bind => bind(mount, at, options, name, program)?,
            (Some("tmpfs"), Some(memory)) => shared(memory, at, &options, name, program)?,
            (Some("cgroup" | "cgroup2"), _) => {
                cgroup_mounts::plan(mount.destination(), options, has_cgroup_namespace, program, &mut late)?;
            }
            (Some(kind), _) => file_system(mount, kind, at, options, name, program, &mut late)?,
            (None, _) => return Err(Error::invalid(format!("{name}: it has no type"))),
        }
    }
    Ok(late)
}

fn bind(mount: &Mount, at: Vec<u8>, options: Options, name: String, program: &mut Program) -> Result<()> {
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    if !source.is_absolute() {
        return Err(Error::invalid(format!("{name}: the bind source {source:?} is not absolute")));
    }
    let step = || format!("{name}: bind source {}", source.display());
    let path = c_string("bind source", source)?;
    let tree = sys::clone_tree(libc::AT_FDCWD, &path, options.recursive).map_err(io::Error::from);
    let tree = tree.step_as(Kind::FailedPrecondition, step)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    let tree = unsafe { OwnedFd::from_raw_fd(tree) };

    let (propagation, all) = options.propagation.unwrap_or((libc::MS_PRIVATE, true));
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

fn file_system(
    mount: &Mount,
    kind: &str,
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
    data.append(&mut options.data);
    let system = new(kind, data, &options, at, holder)?;
    program.step(name, Op::Mount(system));
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
