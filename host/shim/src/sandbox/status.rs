use std::{collections::HashMap, sync::Arc};

use wharf_error::{Error, Kind, Result};
use wharf_shim_api::{
    HOLDER, NETWORK_TASK,
    sandbox::{SandboxMetricsRequest, SandboxMetricsResponse, SandboxStatusRequest, SandboxStatusResponse},
    timestamp, to_proto,
};

use super::{Stage, find};
use crate::{logs::now_nanos, operation::blocking, shim::Shim, task};

/// Where the pod stands, in containerd's words.
pub async fn status(shim: &Shim, request: &SandboxStatusRequest) -> Result<SandboxStatusResponse> {
    let sandbox = find(shim, &request.sandbox_id)?;
    let stage = *sandbox.stage.borrow();
    let mut info = HashMap::new();
    if request.verbose {
        let netns = sandbox.netns.as_ref().map(|path| path.display().to_string());
        info.insert("netns".to_owned(), netns.unwrap_or_default());
        info.insert("hostname".to_owned(), sandbox.options.hostname.clone());
        info.insert("containers".to_owned(), shim.containers().len().to_string());
        info.extend(sandbox.holder().map(|pid| (HOLDER.to_owned(), pid.to_string())));
        let asked = sandbox.clone();
        if stage == Stage::Ready
            && let Some(witness) = blocking(move || asked.network_witness()).await?
        {
            info.insert(NETWORK_TASK.to_owned(), witness.to_string());
        }
    }
    let mut response = SandboxStatusResponse {
        sandbox_id: shim.id.clone(),
        pid: std::process::id(),
        state: if stage == Stage::Ready { "SANDBOX_READY" } else { "SANDBOX_NOTREADY" }.to_owned(),
        info,
        created_at: Some(timestamp(sandbox.created_nanos)).into(),
        ..SandboxStatusResponse::default()
    };
    if let Stage::Stopped(at) = stage {
        response.exited_at = Some(timestamp(at)).into();
    }
    Ok(response)
}

/// What the pod's cgroup uses.
pub async fn metrics(shim: Arc<Shim>, request: SandboxMetricsRequest) -> Result<SandboxMetricsResponse> {
    let sandbox = find(&shim, &request.sandbox_id)?;
    let Some(cgroup) = sandbox.cgroup.clone() else {
        return Err(Error::new(Kind::FailedPrecondition, format!("pod {}: it has no cgroup", request.sandbox_id)));
    };
    let stats = blocking(move || cgroup.stats()).await?;
    let mut response = SandboxMetricsResponse::default();
    let metric = response.metrics.mut_or_insert_default();
    metric.id = request.sandbox_id;
    metric.timestamp = Some(timestamp(now_nanos())).into();
    metric.data = Some(to_proto(task::METRICS, &task::metrics(&stats))?).into();
    Ok(response)
}
