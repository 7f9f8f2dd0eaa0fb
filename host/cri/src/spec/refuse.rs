//! What is not implemented, by the field that asks for it.

use wharf_api::cri::PodSandboxConfig;
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
    let resources = config.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    if resources.is_some_and(|resources| !resources.unified.is_empty()) && !input.node.unified {
        return Err(Error::new(
            Kind::Unsupported,
            "linux.resources.unified: this node has control groups of version 1",
        ));
    }
    Ok(())
}

fn unsupported(field: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{field}: not supported yet"))
        .hint("the container is not made rather than made without it")
}
