use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
};

use oci_spec::runtime::Mount;
use wharf_api::cri::{Mount as Asked, MountPropagation};
use wharf_error::{Error, Result, ResultExt as _};
use wharf_shim_api::Namespace;
use wharf_steps::step_blocking;

use super::{
    Input, propagation,
    user_namespace::{mappings, ranges},
};

/// The mounts in their order, and how the root's own must propagate for them.
pub(super) struct Mounts {
    pub(super) list: Vec<Mount>,
    pub(super) root_propagation: Option<String>,
}

/// The kernel's file systems first, then what is bound from the host, upper paths before those below them.
///
/// What the client mounts at a path takes the place of what would be there: its `/etc/hosts` of ours, and its
/// `/dev` of everything below `/dev`.
pub(super) fn build(input: &Input<'_>) -> Result<Mounts> {
    let asked = &input.config.mounts;
    for mount in asked {
        check(mount)?;
    }
    let at = |path: &Path| asked.iter().any(|mount| clean(&mount.container_path) == path);
    let own = own(input).into_iter().filter(|mount| !at(&clean(&mount.container_path)));
    let mut binds: Vec<Asked> = asked.iter().cloned().chain(own).collect();
    binds.sort_by_key(|mount| clean(&mount.container_path).components().count());

    let dev = at(Path::new("/dev"));
    let mut list = defaults(input);
    list.extend(image_volumes(input));
    list.retain(|mount| {
        let path = mount.destination();
        let bound = binds.iter().any(|bind| clean(&bind.container_path) == *path);
        let hidden = dev && path.starts_with("/dev");
        !bound && !hidden
    });
    let mut root_propagation = None;
    for mount in &binds {
        list.push(match image_of(mount) {
            Some(_) => image(mount, input.image_volumes)?,
            None => bind(mount, &mut root_propagation)?,
        });
    }
    Ok(Mounts { list, root_propagation })
}

fn defaults(input: &Input<'_>) -> Vec<Mount> {
    // Of a privileged container /sys and the control groups can be written.
    let access = if input.security().privileged { "rw" } else { "ro" };
    vec![
        mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", access]),
        mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
    ]
}

/// The pod's files, and with the node's IPC its shared memory.
fn own(input: &Input<'_>) -> Vec<Asked> {
    let readonly = input.security().readonly_rootfs;
    let file = |path: &str, name: &str| Asked {
        container_path: path.into(),
        host_path: input.pod_dir.join(name).to_string_lossy().into_owned(),
        readonly,
        ..Asked::default()
    };
    let mut own = vec![file("/etc/hosts", "hosts"), file("/etc/resolv.conf", "resolv.conf")];
    if !input.sandbox.hostname.is_empty() {
        own.push(file("/etc/hostname", "hostname"));
    } else if Path::new("/etc/hostname").is_file() {
        // A pod with the node's name: the node's own file, which nobody in the pod may change.
        let host_path = "/etc/hostname".to_owned();
        own.push(Asked { container_path: host_path.clone(), host_path, readonly: true, ..Asked::default() });
    }
    if input.sandbox.ipc == Namespace::Node {
        let path = "/dev/shm".to_owned();
        own.push(Asked { container_path: path.clone(), host_path: path, ..Asked::default() });
    }
    own
}

/// The volumes that the image declares are folders of its own root, made where the image has none. Only where that
/// root is read-only they must be something else: memory that begins with a copy of what the image put there, for nothing
/// of theirs outlives the container anyway.
fn image_volumes(input: &Input<'_>) -> Vec<Mount> {
    if !input.security().readonly_rootfs {
        return Vec::new();
    }
    let mut paths: Vec<PathBuf> = input.image.volumes().iter().flatten().map(|path| clean(path)).collect();
    paths.retain(|path| path.is_absolute() && path.parent().is_some());
    paths.sort();
    paths.iter().map(|path| mount("tmpfs", "tmpfs", path, &["nosuid", "nodev", "tmpcopyup"])).collect()
}

fn check(mount: &Asked) -> Result<()> {
    let path = &mount.container_path;
    let bad = |why: &str| Err(Error::invalid(format!("mounts[{path}]: {why}")));
    if !path.starts_with('/') || path.contains('\0') {
        return bad("container_path is not absolute");
    }
    if clean(path).parent().is_none() {
        return bad("container_path is the root itself");
    }
    match (image_of(mount), mount.host_path.as_str()) {
        (Some(_), "") => {}
        (Some(_), _) => return bad("image and host_path are both set"),
        (None, _) if !mount.image_sub_path.is_empty() => return bad("image_sub_path is set without image"),
        (None, host) if !host.starts_with('/') || host.contains('\0') => return bad("host_path is not absolute"),
        (None, _) => {}
    }
    if mount.recursive_read_only && !mount.readonly {
        return bad("recursive_read_only conflicts with a read-write mount");
    }
    if mount.recursive_read_only && mount.propagation != i32::from(MountPropagation::PropagationPrivate) {
        return bad("recursive_read_only needs private propagation");
    }
    if MountPropagation::try_from(mount.propagation).is_err() {
        return bad("unknown propagation");
    }
    if let Some(unknown) = mount.mount_options.iter().find(|option| restriction(option).is_none()) {
        return bad(&format!("mount_options: {unknown:?} is none of noexec, nodev, nosuid"));
    }
    Ok(())
}

/// The image that is to be mounted, if it is one.
pub(crate) fn image_of(mount: &Asked) -> Option<&str> {
    mount.image.as_ref().map(|image| image.image.as_str()).filter(|image| !image.is_empty())
}

/// Read-only, whatever else is asked. Its source is no path: the shim mounts the image's layers there.
fn image(asked: &Asked, images: &BTreeMap<PathBuf, String>) -> Result<Mount> {
    let at = clean(&asked.container_path);
    let id =
        images.get(&at).ok_or_else(|| Error::internal(format!("mounts[{}].image: not looked up", at.display())))?;
    let mut options = vec!["rbind", "rprivate", "ro"];
    options.extend(asked.mount_options.iter().filter_map(|option| restriction(option)));
    let mut mount = mount("bind", "", at, &options);
    mount.set_source(Some(format!("image:{id}").into()));
    Ok(mount)
}

fn bind(asked: &Asked, root: &mut Option<String>) -> Result<Mount> {
    // It may be on a file system that does not answer.
    let name = format!("mounts[{}]: resolve the host's path {}", asked.container_path, asked.host_path);
    let source = step_blocking(move || name.clone(), || source(&asked.host_path));
    let source = source.step(|| format!("mounts[{}]", asked.container_path))?;
    let propagation = match MountPropagation::try_from(asked.propagation).unwrap_or_default() {
        MountPropagation::PropagationPrivate => "rprivate",
        MountPropagation::PropagationBidirectional => {
            if !propagation::of(&source)?.shared {
                return Err(Error::invalid(format!(
                    "mounts[{}]: {source:?} is not on a shared mount",
                    asked.container_path
                ))
                .hint("bidirectional propagation needs `mount --make-rshared` on the host"));
            }
            *root = Some("rshared".into());
            "rshared"
        }
        MountPropagation::PropagationHostToContainer => {
            let host = propagation::of(&source)?;
            if !host.shared && !host.slave {
                return Err(Error::invalid(format!(
                    "mounts[{}]: {source:?} is not on a shared or slave mount",
                    asked.container_path
                ))
                .hint("propagation from the host needs `mount --make-rshared` on the host"));
            }
            root.get_or_insert_with(|| "rslave".into());
            "rslave"
        }
    };
    let access = match (asked.readonly, asked.recursive_read_only) {
        (true, true) => "rro",
        (true, false) => "ro",
        (false, _) => "rw",
    };
    let mut options = vec!["rbind", propagation, access];
    options.extend(asked.mount_options.iter().filter_map(|option| restriction(option)));
    let mut bound = mount("bind", "", clean(&asked.container_path), &options);
    bound.set_source(Some(source));
    if asked.uid_mappings.is_empty() != asked.gid_mappings.is_empty() {
        let what = format!("mounts[{}]: both uidMappings and gidMappings must be given", asked.container_path);
        return Err(Error::invalid(what));
    }
    if !asked.uid_mappings.is_empty() {
        bound
            .set_uid_mappings(Some(mappings(&ranges(&asked.uid_mappings))?))
            .set_gid_mappings(Some(mappings(&ranges(&asked.gid_mappings))?));
    }
    Ok(bound)
}

/// One of CRI's mount options for a mount and all below it: a restriction that ends at the next mount is none.
fn restriction(option: &str) -> Option<&'static str> {
    match option {
        "noexec" => Some("rnoexec"),
        "nodev" => Some("rnodev"),
        "nosuid" => Some("rnosuid"),
        _ => None,
    }
}

/// The path itself, without links; a folder is made where there is nothing.
fn source(path: &str) -> Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).step(|| format!("make the host's folder {path}"))?;
            fs::canonicalize(path).step(|| format!("resolve the host's path {path}"))
        }
        found => found.step(|| format!("resolve the host's path {path}")),
    }
}

fn mount(kind: &str, source: &str, destination: impl AsRef<Path>, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(destination.as_ref().into())
        .set_typ(Some(kind.into()))
        .set_source(Some(source.into()))
        .set_options(Some(options.iter().map(|option| (*option).to_owned()).collect()));
    mount
}

/// Without `.`, doubled and final slashes; `..` takes the part before it away, and nothing above the root.
pub(crate) fn clean(path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    clean
}
