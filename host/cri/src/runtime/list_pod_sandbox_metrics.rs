use wharf_api::cri::{
    ContainerMetrics, ListPodSandboxMetricsRequest, ListPodSandboxMetricsResponse, PodSandboxMetrics,
};
use wharf_error::{Result, ResultExt as _};
use wharf_pods::PodMetrics;

use super::{Runtime, container_status::shown_resources, metrics, metrics::Labels};

/// Of every ready pod and its running containers.
pub(super) async fn list_pod_sandbox_metrics(
    runtime: &Runtime,
    _: ListPodSandboxMetricsRequest,
) -> Result<ListPodSandboxMetricsResponse> {
    let pods = runtime.pods.list_pod_metrics().await;
    let runtime = runtime.clone();
    // Limits, and the names of devices, are read from files.
    let told = tokio::task::spawn_blocking(move || pods.iter().map(|pod| pod_metrics(&runtime, pod)).collect());
    Ok(ListPodSandboxMetricsResponse { pod_metrics: told.await.step(|| "tell metrics".into())? })
}

fn pod_metrics(runtime: &Runtime, pod: &PodMetrics) -> PodSandboxMetrics {
    let row = &pod.stats.pod;
    let containers = pod.containers.iter().map(|container| {
        let of = &container.stats.container;
        let limits = runtime.pods.spec(&of.id).ok().and_then(|spec| shown_resources(&spec));
        ContainerMetrics {
            container_id: of.id.clone(),
            metrics: metrics::all(pod, Some(container), limits.as_ref(), &Labels::of_container(row, of)),
        }
    });
    PodSandboxMetrics {
        pod_sandbox_id: row.id.clone(),
        metrics: metrics::all(pod, None, None, &Labels::of_pod(row)),
        container_metrics: containers.collect(),
    }
}
