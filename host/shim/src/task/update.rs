use std::sync::Arc;

use oci_spec::runtime::LinuxResources;
use wharf_error::{Error, Result};
use wharf_shim_api::{
    from_json,
    task::{Empty, UpdateTaskRequest},
};

use crate::{limits::set_limits, operation::blocking, shim::Shim};

/// Changes limits; those that are not named stay.
pub async fn update(shim: Arc<Shim>, request: UpdateTaskRequest) -> Result<Empty> {
    let container = shim.container(&request.id)?;
    let Some(resources) = request.resources.as_ref() else {
        return Err(Error::invalid(format!("container {}: update: no resources", request.id)));
    };
    let resources: LinuxResources = from_json(resources)?;
    let _life = container.life.lock().await;
    let (cgroup, id) = (container.cgroup.clone(), request.id);
    let engine = container.runtime.clone();
    blocking(move || engine.update(&resources).unwrap_or_else(|| set_limits(&id, &cgroup, &resources))).await?;
    Ok(Empty::default())
}
