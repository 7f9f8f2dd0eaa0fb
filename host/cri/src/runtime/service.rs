use futures::{StreamExt, stream::BoxStream};
use tonic::{Request, Response, Status};
use wharf_api::cri::{runtime_service_server::RuntimeService, *};

use super::{
    Runtime, attach::attach, container_stats::container_stats, container_status::container_status,
    create_container::create_container, exec::exec, exec_sync::exec_sync, get_container_events::get_container_events,
    list_container_stats::list_container_stats, list_containers::list_containers,
    list_metric_descriptors::list_metric_descriptors, list_pod_sandbox::list_pod_sandbox,
    list_pod_sandbox_metrics::list_pod_sandbox_metrics, list_pod_sandbox_stats::list_pod_sandbox_stats,
    pod_sandbox_stats::pod_sandbox_stats, pod_sandbox_status::pod_sandbox_status, port_forward::port_forward,
    remove_container::remove_container, remove_pod_sandbox::remove_pod_sandbox,
    reopen_container_log::reopen_container_log, run_pod_sandbox::run_pod_sandbox, runtime_config::runtime_config,
    start_container::start_container, status::status, stop_container::stop_container,
    stop_pod_sandbox::stop_pod_sandbox, stream_container_stats::stream_container_stats,
    stream_containers::stream_containers, stream_pod_sandbox_metrics::stream_pod_sandbox_metrics,
    stream_pod_sandbox_stats::stream_pod_sandbox_stats, stream_pod_sandboxes::stream_pod_sandboxes,
    update_container_resources::update_container_resources, update_pod_sandbox_resources::update_pod_sandbox_resources,
    update_runtime_config::update_runtime_config, version::version,
};
use crate::serve::{serve, unimplemented};

type Sent<T> = BoxStream<'static, Result<T, Status>>;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl RuntimeService for Runtime {
    type StreamPodSandboxesStream = Sent<StreamPodSandboxesResponse>;
    type StreamContainersStream = Sent<StreamContainersResponse>;
    type StreamContainerStatsStream = Sent<StreamContainerStatsResponse>;
    type StreamPodSandboxStatsStream = Sent<StreamPodSandboxStatsResponse>;
    type StreamPodSandboxMetricsStream = Sent<StreamPodSandboxMetricsResponse>;
    type GetContainerEventsStream = Sent<ContainerEventResponse>;

    async fn version(&self, request: Request<VersionRequest>) -> Answer<VersionResponse> {
        serve("Version", request, |asked| version(self, asked)).await
    }

    async fn run_pod_sandbox(&self, request: Request<RunPodSandboxRequest>) -> Answer<RunPodSandboxResponse> {
        serve("RunPodSandbox", request, |asked| run_pod_sandbox(self, asked)).await
    }

    async fn stop_pod_sandbox(&self, request: Request<StopPodSandboxRequest>) -> Answer<StopPodSandboxResponse> {
        serve("StopPodSandbox", request, |asked| stop_pod_sandbox(self, asked)).await
    }

    async fn remove_pod_sandbox(&self, request: Request<RemovePodSandboxRequest>) -> Answer<RemovePodSandboxResponse> {
        serve("RemovePodSandbox", request, |asked| remove_pod_sandbox(self, asked)).await
    }

    async fn pod_sandbox_status(&self, request: Request<PodSandboxStatusRequest>) -> Answer<PodSandboxStatusResponse> {
        serve("PodSandboxStatus", request, |asked| pod_sandbox_status(self, asked)).await
    }

    async fn list_pod_sandbox(&self, request: Request<ListPodSandboxRequest>) -> Answer<ListPodSandboxResponse> {
        serve("ListPodSandbox", request, |asked| list_pod_sandbox(self, asked)).await
    }

    async fn create_container(&self, request: Request<CreateContainerRequest>) -> Answer<CreateContainerResponse> {
        serve("CreateContainer", request, |asked| create_container(self, asked)).await
    }

    async fn start_container(&self, request: Request<StartContainerRequest>) -> Answer<StartContainerResponse> {
        serve("StartContainer", request, |asked| start_container(self, asked)).await
    }

    async fn stop_container(&self, request: Request<StopContainerRequest>) -> Answer<StopContainerResponse> {
        serve("StopContainer", request, |asked| stop_container(self, asked)).await
    }

    async fn remove_container(&self, request: Request<RemoveContainerRequest>) -> Answer<RemoveContainerResponse> {
        serve("RemoveContainer", request, |asked| remove_container(self, asked)).await
    }

    async fn list_containers(&self, request: Request<ListContainersRequest>) -> Answer<ListContainersResponse> {
        serve("ListContainers", request, |asked| list_containers(self, asked)).await
    }

    async fn container_status(&self, request: Request<ContainerStatusRequest>) -> Answer<ContainerStatusResponse> {
        serve("ContainerStatus", request, |asked| container_status(self, asked)).await
    }

    async fn exec_sync(&self, request: Request<ExecSyncRequest>) -> Answer<ExecSyncResponse> {
        serve("ExecSync", request, |asked| exec_sync(self, asked)).await
    }

    async fn update_runtime_config(
        &self,
        request: Request<UpdateRuntimeConfigRequest>,
    ) -> Answer<UpdateRuntimeConfigResponse> {
        serve("UpdateRuntimeConfig", request, |asked| update_runtime_config(self, asked)).await
    }

    async fn status(&self, request: Request<StatusRequest>) -> Answer<StatusResponse> {
        serve("Status", request, |asked| status(self, asked)).await
    }

    async fn runtime_config(&self, request: Request<RuntimeConfigRequest>) -> Answer<RuntimeConfigResponse> {
        serve("RuntimeConfig", request, |asked| runtime_config(self, asked)).await
    }

    async fn reopen_container_log(
        &self,
        request: Request<ReopenContainerLogRequest>,
    ) -> Answer<ReopenContainerLogResponse> {
        serve("ReopenContainerLog", request, |asked| reopen_container_log(self, asked)).await
    }

    async fn exec(&self, request: Request<ExecRequest>) -> Answer<ExecResponse> {
        serve("Exec", request, |asked| exec(self, asked)).await
    }

    async fn attach(&self, request: Request<AttachRequest>) -> Answer<AttachResponse> {
        serve("Attach", request, |asked| attach(self, asked)).await
    }

    async fn port_forward(&self, request: Request<PortForwardRequest>) -> Answer<PortForwardResponse> {
        serve("PortForward", request, |asked| port_forward(self, asked)).await
    }

    async fn container_stats(&self, request: Request<ContainerStatsRequest>) -> Answer<ContainerStatsResponse> {
        serve("ContainerStats", request, |asked| container_stats(self, asked)).await
    }

    async fn list_container_stats(
        &self,
        request: Request<ListContainerStatsRequest>,
    ) -> Answer<ListContainerStatsResponse> {
        serve("ListContainerStats", request, |asked| list_container_stats(self, asked)).await
    }

    async fn pod_sandbox_stats(&self, request: Request<PodSandboxStatsRequest>) -> Answer<PodSandboxStatsResponse> {
        serve("PodSandboxStats", request, |asked| pod_sandbox_stats(self, asked)).await
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: Request<ListPodSandboxStatsRequest>,
    ) -> Answer<ListPodSandboxStatsResponse> {
        serve("ListPodSandboxStats", request, |asked| list_pod_sandbox_stats(self, asked)).await
    }

    async fn update_container_resources(
        &self,
        request: Request<UpdateContainerResourcesRequest>,
    ) -> Answer<UpdateContainerResourcesResponse> {
        serve("UpdateContainerResources", request, |asked| update_container_resources(self, asked)).await
    }

    async fn get_container_events(&self, request: Request<GetEventsRequest>) -> Answer<Self::GetContainerEventsStream> {
        let events = serve("GetContainerEvents", request, |asked| get_container_events(self, asked)).await?;
        Ok(events.map(StreamExt::boxed))
    }

    async fn stream_pod_sandboxes(
        &self,
        request: Request<StreamPodSandboxesRequest>,
    ) -> Answer<Self::StreamPodSandboxesStream> {
        let list = serve("StreamPodSandboxes", request, |asked| stream_pod_sandboxes(self, asked)).await?;
        Ok(list.map(StreamExt::boxed))
    }

    async fn stream_containers(
        &self,
        request: Request<StreamContainersRequest>,
    ) -> Answer<Self::StreamContainersStream> {
        let list = serve("StreamContainers", request, |asked| stream_containers(self, asked)).await?;
        Ok(list.map(StreamExt::boxed))
    }

    async fn stream_container_stats(
        &self,
        request: Request<StreamContainerStatsRequest>,
    ) -> Answer<Self::StreamContainerStatsStream> {
        let list = serve("StreamContainerStats", request, |asked| stream_container_stats(self, asked)).await?;
        Ok(list.map(StreamExt::boxed))
    }

    async fn stream_pod_sandbox_stats(
        &self,
        request: Request<StreamPodSandboxStatsRequest>,
    ) -> Answer<Self::StreamPodSandboxStatsStream> {
        let list = serve("StreamPodSandboxStats", request, |asked| stream_pod_sandbox_stats(self, asked)).await?;
        Ok(list.map(StreamExt::boxed))
    }

    async fn list_metric_descriptors(
        &self,
        request: Request<ListMetricDescriptorsRequest>,
    ) -> Answer<ListMetricDescriptorsResponse> {
        serve("ListMetricDescriptors", request, list_metric_descriptors).await
    }

    async fn list_pod_sandbox_metrics(
        &self,
        request: Request<ListPodSandboxMetricsRequest>,
    ) -> Answer<ListPodSandboxMetricsResponse> {
        serve("ListPodSandboxMetrics", request, |asked| list_pod_sandbox_metrics(self, asked)).await
    }

    async fn stream_pod_sandbox_metrics(
        &self,
        request: Request<StreamPodSandboxMetricsRequest>,
    ) -> Answer<Self::StreamPodSandboxMetricsStream> {
        let list = serve("StreamPodSandboxMetrics", request, |asked| stream_pod_sandbox_metrics(self, asked)).await?;
        Ok(list.map(StreamExt::boxed))
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: Request<UpdatePodSandboxResourcesRequest>,
    ) -> Answer<UpdatePodSandboxResourcesResponse> {
        serve("UpdatePodSandboxResources", request, |asked| update_pod_sandbox_resources(self, asked)).await
    }

    // Not served: there is no checkpoint and restore yet.

    async fn checkpoint_container(
        &self,
        _: Request<CheckpointContainerRequest>,
    ) -> Answer<CheckpointContainerResponse> {
        Err(unimplemented("CheckpointContainer"))
    }

    async fn checkpoint_pod(&self, _: Request<CheckpointPodRequest>) -> Answer<CheckpointPodResponse> {
        Err(unimplemented("CheckpointPod"))
    }

    async fn restore_pod(&self, _: Request<RestorePodRequest>) -> Answer<RestorePodResponse> {
        Err(unimplemented("RestorePod"))
    }
}
