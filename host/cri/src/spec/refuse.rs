//! What is not implemented, by the field that asks for it.

use wharf_api::cri::{ContainerConfig, PodSandboxConfig, SupplementalGroupsPolicy};
use wharf_error::{Error, Kind, Result};

use super::Input;

/// What a pod may not ask for. Profiles of its own are none of it: the pod has no process.
pub(crate) fn refuse_pod(config: &PodSandboxConfig) -> Result<()> {
    if config.windows.is_some() {
        return Err(unsupported("windows"));
    }
    Ok(())
}

pub(super) fn refuse_container(input: &Input<'_>) -> Result<()> {
    let config = input.config;
    if config.windows.is_some() {
        return Err(unsupported("windows"));
    }
    refuse_cdi(config)?;
    refuse_mounts(input)?;
    let resources = config.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    if resources.is_some_and(|resources| !resources.unified.is_empty()) && !input.node.unified {
        return Err(Error::new(
            Kind::Unsupported,
            "linux.resources.unified: this node has control groups of version 1",
        ));
    }
    let security = input.security();
    SupplementalGroupsPolicy::try_from(security.supplemental_groups_policy)
        .map_err(|_| unsupported("linux.security_context.supplemental_groups_policy"))?;
    Ok(())
}

fn refuse_cdi(config: &ContainerConfig) -> Result<()> {
    let by_annotation = config.annotations.keys().find(|key| key.starts_with("cdi.k8s.io/"));
    match (config.cdi_devices.first(), by_annotation) {
        (Some(device), _) => Err(unsupported(&format!("CDI_devices[{}]", device.name))),
        (None, Some(key)) => Err(unsupported(&format!("annotations[{key}]"))),
        (None, None) => Ok(()),
    }
}

fn refuse_mounts(input: &Input<'_>) -> Result<()> {
    for mount in &input.config.mounts {
        let field = |name: &str| format!("mounts[{}].{name}", mount.container_path);
        if mount.image.as_ref().is_some_and(|image| !image.image.is_empty()) {
            return Err(unsupported(&field("image")));
        }
        if !mount.mount_options.is_empty() {
            return Err(unsupported(&field("mount_options")));
        }
        // Where files carry no labels there is nothing to relabel.
        if mount.selinux_relabel && input.node.selinux {
            return Err(unsupported(&field("selinux_relabel")));
        }
    }
    Ok(())
}

fn unsupported(field: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{field}: not supported yet"))
        .hint("the container is not made rather than made without it")
}
