//! From CRI's configurations and an image's to an OCI specification, as containerd's CRI plugin builds it.
//!
//! One aspect a file. What this runtime does not implement is refused with the field's name ([`refuse`]), never
//! dropped: a container that asked for a profile must not run without it.

mod annotations;
mod apparmor;
mod capabilities;
mod devices;
mod env;
mod mounts;
mod namespaces;
mod node;
mod process;
mod profile;
mod propagation;
mod refuse;
mod resources;
mod seccomp;
mod selinux;
mod user;
mod user_namespace;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use oci_spec::{
    image::Config as ImageConfig,
    runtime::{Linux, Root, Spec},
};
use wharf_api::cri::{ContainerConfig, LinuxContainerSecurityContext, PodSandboxConfig};
use wharf_cdi::{Cdi, names_of_annotations};
use wharf_error::{Error, Kind, Result};
use wharf_shim_api::SandboxOptions;

use crate::PassedAnnotations;

pub(crate) use self::{
    mounts::{clean, image_of},
    namespaces::own_pids,
    node::Node,
    refuse::refuse_pod,
    resources::{limits, shown},
    user::strict_groups,
    user_namespace::user_mappings,
};

/// The version of the OCI runtime specification that is written down.
const OCI_VERSION: &str = "1.2.1";

/// What a container's specification is made from.
pub(crate) struct Input<'a> {
    /// Its pod's id.
    pub(crate) pod_id: &'a str,
    /// Its control group.
    pub(crate) cgroup: &'a str,
    /// The folder with the pod's `hosts`, `hostname` and `resolv.conf`.
    pub(crate) pod_dir: &'a Path,
    /// What the shim holds for the pod.
    pub(crate) sandbox: &'a SandboxOptions,
    pub(crate) config: &'a ContainerConfig,
    pub(crate) pod_config: &'a PodSandboxConfig,
    /// What the image says about running it.
    pub(crate) image: &'a ImageConfig,
    /// The image as the user knows it.
    pub(crate) image_name: &'a str,
    /// The process whose PID namespace is joined, where the container targets another.
    pub(crate) target_pid: Option<u32>,
    /// What this machine has.
    pub(crate) node: &'a Node,
    /// Where devices of the Container Device Interface are described.
    pub(crate) cdi: &'a Cdi,
    /// What its runtime handler is told of annotations.
    pub(crate) passed_annotations: &'a PassedAnnotations,
    /// The images that are mounted as volumes: their ids by the path in the container.
    pub(crate) image_volumes: &'a BTreeMap<PathBuf, String>,
}

/// Builds the specification. Missing host paths of mounts are created, links resolved, devices looked up: blocking.
///
/// # Errors
///
/// `InvalidArgument` for what cannot be right, `Unsupported` for what is not implemented, each with the field.
pub(crate) fn build(input: &Input<'_>) -> Result<Spec> {
    refuse::refuse_container(input)?;
    let security = input.security();
    if security.privileged && !input.pod_privileged() {
        return Err(Error::new(Kind::PermissionDenied, "no privileged container allowed in sandbox")
            .hint("the pod sandbox itself must be made with linux.security_context.privileged"));
    }
    let mounts = mounts::build(input)?;
    let devices = devices::build(input)?;
    let process = process::build(input)?;
    let labels = selinux::build(input)?;

    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces::build(input)?))
        .set_cgroups_path(Some(input.cgroup.into()))
        .set_resources(Some(resources::build(input, devices.rules)))
        .set_devices(Some(devices.nodes).filter(|nodes| !nodes.is_empty()))
        .set_rootfs_propagation(mounts.root_propagation)
        .set_mount_label(labels.map(|labels| labels.files))
        .set_seccomp(seccomp::build(input, process.capabilities().as_ref())?)
        .set_masked_paths(Some(masked(input)))
        .set_readonly_paths(Some(readonly(input)));

    if let Some(user) = user_namespace::build(input)? {
        linux
            .set_uid_mappings(Some(user_namespace::mappings(&user.uids)?))
            .set_gid_mappings(Some(user_namespace::mappings(&user.gids)?));
    }

    let mut root = Root::default();
    root.set_path("rootfs".into()).set_readonly(Some(security.readonly_rootfs));

    let mut spec = Spec::default();
    spec.set_version(OCI_VERSION.into())
        .set_root(Some(root))
        .set_hostname(None)
        .set_process(Some(process))
        .set_mounts(Some(mounts.list))
        .set_annotations(Some(annotations::build(input)))
        .set_linux(Some(linux));
    input.cdi.apply(&devices_by_name(input.config), &mut spec)?;
    Ok(spec)
}

/// By CRI's field and by annotations: the kubelet says the same twice.
fn devices_by_name(config: &ContainerConfig) -> Vec<String> {
    let field = config.cdi_devices.iter().map(|device| device.name.clone());
    field.chain(names_of_annotations(&config.annotations)).collect()
}

// === impl Input ===

impl Input<'_> {
    /// The security context; an absent one says nothing.
    fn security(&self) -> &LinuxContainerSecurityContext {
        static NOTHING: LazyLock<LinuxContainerSecurityContext> = LazyLock::new(Default::default);
        self.asked_security().unwrap_or(&NOTHING)
    }

    fn asked_security(&self) -> Option<&LinuxContainerSecurityContext> {
        self.config.linux.as_ref()?.security_context.as_ref()
    }

    fn pod_privileged(&self) -> bool {
        let linux = self.pod_config.linux.as_ref();
        linux.and_then(|linux| linux.security_context.as_ref()).is_some_and(|security| security.privileged)
    }
}

/// Paths hidden from a container whose client says nothing about security. One that says something says all of it:
/// an empty list is the kubelet's `procMount: Unmasked`.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn masked(input: &Input<'_>) -> Vec<String> {
    paths(input, MASKED, |security| &security.masked_paths)
}

fn readonly(input: &Input<'_>) -> Vec<String> {
    paths(input, READONLY, |security| &security.readonly_paths)
}

fn paths(
    input: &Input<'_>,
    default: &[&str],
    asked: impl Fn(&LinuxContainerSecurityContext) -> &Vec<String>,
) -> Vec<String> {
    match input.asked_security() {
        None => default.iter().map(|path| (*path).to_owned()).collect(),
        Some(security) if security.privileged => Vec::new(),
        Some(security) => asked(security).clone(),
    }
}

#[cfg(test)]
mod tests;
