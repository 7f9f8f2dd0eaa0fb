use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    os::{fd::AsRawFd as _, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use oci_spec::runtime::{BoxBuilder, LinuxNamespaceType, Mount, Process, Root as SpecRoot, Spec};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{PodNamespaces, PrivateMounts, Root, TerminalSize, possible_capabilities, resolve_user};

use super::New;

/// What a specification says of its version: crun refuses newer ones, and what is newer in it is for whoever knows it.
const VERSION: &str = "1.0.2";

/// A bundle for another program, inside the container's own.
pub struct Written {
    pub bundle: PathBuf,
    /// Where the root is to be mounted.
    pub rootfs: PathBuf,
    /// Where the pod's shared memory is to be mounted, if the container has it.
    pub memory: Option<PathBuf>,
    /// Where sources of bind mounts are to be mounted, by destination.
    pub sources: BTreeMap<PathBuf, PathBuf>,
    pub spec: Spec,
}

// === impl Written ===

impl Written {
    /// What is to be mounted for it, and where.
    pub fn mounts(
        &self,
        root: Root,
        sources: BTreeMap<PathBuf, Root>,
        namespaces: &PodNamespaces,
    ) -> Result<(PrivateMounts, Vec<PathBuf>)> {
        let (mut mounts, mut places) = (PrivateMounts::default(), vec![self.rootfs.clone()]);
        mounts.add_root(root, &self.rootfs)?;
        if let (Some(at), Some(memory)) = (&self.memory, &namespaces.shared_memory) {
            mounts.add_memory(memory, at)?;
            places.push(at.clone());
        }
        for (destination, source) in sources {
            if let Some(at) = self.sources.get(&destination) {
                mounts.add_root(source, at)?;
                places.push(at.clone());
            }
        }
        Ok((mounts, places))
    }
}

/// Where a container's bundle for others is, in its own: by the same name, for containerd's shims find it by that.
pub fn bundle_of(bundle: &Path) -> PathBuf {
    let folder = bundle.join("oci");
    bundle.file_name().map_or_else(|| folder.clone(), |name| folder.join(name))
}

/// Writes a specification as an OCI runtime understands it: the pod's namespaces by path, users by number, the pod's
/// `/dev/shm` as a bind mount, and nothing that this node cannot give.
pub fn write(new: &New<'_>) -> Result<Written> {
    let New { bundle, spec, root, sources, namespaces, merge_image_groups, folders, .. } = new;
    if namespaces.user.is_some() {
        return Err(Error::new(Kind::Unsupported, "user namespaces of a pod need the native runtime handler"));
    }
    if let Some(mount) = spec.mounts().iter().flatten().find(|mount| reaches_the_host(mount)) {
        // The other program sees the host's mounts from a mount namespace of its own, which tells the host nothing.
        let what =
            format!("mount {}: mounts made in the container cannot reach the host", mount.destination().display());
        return Err(
            Error::new(Kind::Unsupported, what).hint("bidirectional propagation needs the native runtime handler")
        );
    }
    folders.iter().try_for_each(|folder| root.make_directory(folder))?;
    let bundle = bundle_of(bundle);
    let (rootfs, memory) = (bundle.join("rootfs"), bundle.join("shm"));
    let mut spec = (*spec).clone();
    spec.set_version(VERSION.to_owned());
    let shares_memory = join_namespaces(&mut spec, namespaces) && namespaces.shared_memory.is_some();
    let Some(mut process) = spec.process().clone() else {
        return Err(Error::invalid("the specification has no process"));
    };
    process.set_user(resolve_user(root, process.user(), *merge_image_groups)?);
    fit(&mut process)?;
    spec.set_process(Some(process));
    let mut own = SpecRoot::default();
    own.set_path("rootfs".into());
    own.set_readonly(spec.root().as_ref().and_then(|root| root.readonly()));
    spec.set_root(Some(own));
    let mut has_memory = false;
    if shares_memory && let Some(mounts) = spec.mounts_mut() {
        for mount in mounts.iter_mut().filter(|mount| is_shared_memory(mount)) {
            *mount = bind(mount, &memory);
            has_memory = true;
        }
    }
    let places: BTreeMap<_, _> =
        sources.keys().zip(0..).map(|(at, number)| (at.clone(), bundle.join(format!("source-{number}")))).collect();
    for mount in spec.mounts_mut().iter_mut().flatten() {
        if let Some(place) = places.get(mount.destination()) {
            mount.set_source(Some(place.clone()));
        }
    }
    for folder in [&bundle, &rootfs, &memory].into_iter().chain(places.values()) {
        match fs::DirBuilder::new().recursive(true).mode(0o711).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).step(|| format!("make {}", folder.display()));
            }
            _ => {}
        }
    }
    let path = bundle.join("config.json");
    let step = || format!("write {}", path.display());
    fs::write(&path, serde_json::to_vec(&spec).step(step)?).step(step)?;
    Ok(Written { bundle, rootfs, memory: has_memory.then_some(memory), sources: places, spec })
}

/// Takes out what this node itself may not do and the native runtime clamps, too; commands fail over it.
pub fn fit(process: &mut Process) -> Result<()> {
    if let Some(capabilities) = process.capabilities() {
        process.set_capabilities(Some(possible_capabilities(capabilities)?));
    }
    if let Some(wanted) = process.oom_score_adj() {
        let own = fs::read_to_string("/proc/self/oom_score_adj").step(|| "read our own oom_score_adj".into())?;
        let own: i32 = own.trim().parse().step(|| "read our own oom_score_adj".into())?;
        if wanted < own && fs::write("/proc/self/oom_score_adj", wanted.to_string()).is_err() {
            tracing::warn!(wanted, own, "oom_score_adj: this node may not lower it");
            process.set_oom_score_adj(Some(own));
        } else if wanted < own {
            // It was only tried.
            fs::write("/proc/self/oom_score_adj", own.to_string()).step(|| "restore our own oom_score_adj".into())?;
        }
    }
    Ok(())
}

/// Gives a process's terminal a size from its start.
pub fn set_size(process: &mut Process, size: TerminalSize) -> Result<()> {
    let size = BoxBuilder::default().height(u64::from(size.rows)).width(u64::from(size.columns)).build();
    process.set_console_size(Some(size.step(|| "the terminal's size".into())?));
    Ok(())
}

/// Names the pod's namespaces where the specification lists them without a path; whether IPC is among them.
fn join_namespaces(spec: &mut Spec, pod: &PodNamespaces) -> bool {
    let mut shares_ipc = false;
    let namespaces = spec.linux_mut().as_mut().and_then(|linux| linux.namespaces_mut().as_mut());
    for namespace in namespaces.into_iter().flatten().filter(|namespace| namespace.path().is_none()) {
        let of_pod = match namespace.typ() {
            LinuxNamespaceType::Network => &pod.net,
            LinuxNamespaceType::Ipc => &pod.ipc,
            LinuxNamespaceType::Uts => &pod.uts,
            LinuxNamespaceType::Pid => &pod.pid,
            _ => &None,
        };
        if let Some(fd) = of_pod {
            let path = format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
            shares_ipc |= namespace.typ() == LinuxNamespaceType::Ipc;
            namespace.set_path(Some(path.into()));
        }
    }
    shares_ipc
}

fn reaches_the_host(mount: &Mount) -> bool {
    mount.options().iter().flatten().any(|option| matches!(option.as_str(), "shared" | "rshared"))
}

fn is_shared_memory(mount: &Mount) -> bool {
    mount.destination() == Path::new("/dev/shm") && mount.typ().as_deref() == Some("tmpfs")
}

/// Size and mode are the pod's; what remains of the options is the mount's own.
fn bind(mount: &Mount, source: &Path) -> Mount {
    let own = mount.options().iter().flatten().filter(|option| !option.contains('=')).cloned();
    let mut bind = Mount::default();
    bind.set_destination(mount.destination().clone());
    bind.set_typ(Some("bind".into()));
    bind.set_source(Some(source.to_owned()));
    bind.set_options(Some(std::iter::once("rbind".to_owned()).chain(own).collect()));
    bind
}
