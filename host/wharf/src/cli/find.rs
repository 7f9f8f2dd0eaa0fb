//! Containers and pods by their names, where no id begins so.

use tonic::{Code, Status, transport::Channel};
use wharf_api::cri::{
    ContainerState, ContainerStatusRequest, ContainerStatusResponse, ListContainersRequest, ListPodSandboxRequest,
    PodSandboxState, runtime_service_client::RuntimeServiceClient,
};

pub(super) type Runtime = RuntimeServiceClient<Channel>;

/// The status of a container by its id, the beginning of that, or its name.
pub(super) async fn container(runtime: &mut Runtime, named: &str) -> Result<ContainerStatusResponse, Status> {
    match container_by_id(runtime, named).await {
        Err(absent) if absent.code() == Code::NotFound => match container_called(runtime, named).await? {
            Some(id) => container_by_id(runtime, &id).await,
            None => Err(absent),
        },
        found => found,
    }
}

/// The id of the only running container of this name, else of the only one at all.
pub(super) async fn container_called(runtime: &mut Runtime, name: &str) -> Result<Option<String>, Status> {
    let all = runtime.list_containers(ListContainersRequest::default()).await?.into_inner().containers;
    let called = all.into_iter().filter(|container| container.metadata.as_ref().is_some_and(|of| of.name == name));
    let called = called.map(|container| (container.state() == ContainerState::ContainerRunning, container.id));
    only("containers", name, called.collect())
}

/// The id of the only ready pod of this name, else of the only one at all.
pub(super) async fn pod_called(runtime: &mut Runtime, name: &str) -> Result<Option<String>, Status> {
    let all = runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await?.into_inner().items;
    let called = all.into_iter().filter(|pod| pod.metadata.as_ref().is_some_and(|of| of.name == name));
    let called = called.map(|pod| (pod.state() == PodSandboxState::SandboxReady, pod.id));
    only("pods", name, called.collect())
}

async fn container_by_id(runtime: &mut Runtime, id: &str) -> Result<ContainerStatusResponse, Status> {
    let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    Ok(runtime.container_status(request).await?.into_inner())
}

/// Of those that live if any does.
fn only(what: &str, name: &str, called: Vec<(bool, String)>) -> Result<Option<String>, Status> {
    let some_live = called.iter().any(|(lives, _)| *lives);
    let mut meant: Vec<_> = called.into_iter().filter(|(lives, _)| *lives || !some_live).map(|(_, id)| id).collect();
    if meant.len() > 1 {
        let text =
            format!("{name:?}: there are {} {what} of that name: {} (give an id)", meant.len(), meant.join(", "));
        return Err(Status::failed_precondition(text));
    }
    Ok(meant.pop())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_live_go_before_those_that_have_ended() {
        let only = |called: &[(bool, &str)]| {
            let called = called.iter().map(|(lives, id)| (*lives, (*id).to_owned())).collect();
            only("containers", "web", called).map_err(|status| status.message().to_owned())
        };
        assert_eq!(only(&[]).unwrap(), None);
        assert_eq!(only(&[(false, "a")]).unwrap().unwrap(), "a");
        assert_eq!(only(&[(false, "a"), (true, "b"), (false, "c")]).unwrap().unwrap(), "b");
        let several = only(&[(false, "a"), (false, "b")]).unwrap_err();
        assert!(several.contains("\"web\": there are 2 containers of that name: a, b"), "{several}");
        let several = only(&[(true, "a"), (false, "b"), (true, "c")]).unwrap_err();
        assert!(several.contains(": a, c ("), "{several}");
    }
}
