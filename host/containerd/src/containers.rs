use std::collections::{BTreeMap, HashMap};

use prost_types::Any;
use tonic::{Request, Response, Status};
use wharf_containerd_api::services::containers::v1::{
    Container, GetContainerRequest, GetContainerResponse, container::Runtime, containers_server,
};
use wharf_cri::to_status;
use wharf_error::{Error, Result, ResultExt as _};
use wharf_pods::{Pod, Pods};

use crate::{namespace::within, time::timestamp};

/// What tells a pod from a container of one.
const KIND: &str = "io.cri-containerd.kind";
const RUNTIME: &str = "io.containerd.wharf.v1";
/// How containerd's clients know JSON of an OCI specification.
const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

pub(crate) struct Containers {
    pub(crate) pods: Pods,
    pub(crate) snapshotter: String,
}

#[tonic::async_trait]
impl containers_server::Containers for Containers {
    async fn get(
        &self,
        request: Request<GetContainerRequest>,
    ) -> std::result::Result<Response<GetContainerResponse>, Status> {
        let id = within(request, &self.pods.config().namespace)?.id;
        let container = self.find(&id).await.map_err(|error| to_status(&error))?;
        Ok(Response::new(GetContainerResponse { container: Some(container) }))
    }
}

// === impl Containers ===

impl Containers {
    async fn find(&self, id: &str) -> Result<Container> {
        if let Ok(container) = self.pods.container(id)
            && container.id == id
        {
            return self.container(container).await;
        }
        match self.pods.pod(id) {
            Ok(pod) if pod.id == id => Ok(sandbox(pod)),
            _ => Err(Error::not_found("container", format!("{id:?}"))),
        }
    }

    async fn container(&self, container: wharf_pods::Container) -> Result<Container> {
        let (pods, id) = (self.pods.clone(), container.id.clone());
        let what = || format!("container {}: read its specification", container.id);
        let read = tokio::task::spawn_blocking(move || pods.spec(&id)).await.step(what)?;
        // One that is being made or removed has none, and its control group is seen all the same.
        let spec = read.ok().map(|spec| serde_json::to_vec(&spec)).transpose().step(what)?;
        Ok(Container {
            snapshot_key: container.snapshot_key().to_owned(),
            labels: labels(container.labels, "container"),
            image: container.image_ref,
            runtime: Some(runtime()),
            spec: Some(any(spec)),
            snapshotter: self.snapshotter.clone(),
            created_at: timestamp(container.created_at),
            updated_at: timestamp(container.created_at),
            extensions: HashMap::new(),
            sandbox: container.pod_id,
            id: container.id,
        })
    }
}

/// A pod has no container of its own; this is what there is to know.
fn sandbox(pod: Pod) -> Container {
    Container {
        labels: labels(pod.labels, "sandbox"),
        runtime: Some(runtime()),
        spec: Some(any(None)),
        created_at: timestamp(pod.created_at),
        updated_at: timestamp(pod.created_at),
        sandbox: pod.id.clone(),
        id: pod.id,
        ..Container::default()
    }
}

fn labels(own: BTreeMap<String, String>, kind: &str) -> HashMap<String, String> {
    own.into_iter().chain([(KIND.to_owned(), kind.to_owned())]).collect()
}

fn runtime() -> Runtime {
    Runtime { name: RUNTIME.into(), options: None }
}

/// Without one: clients read it, and its process, without asking whether there is any.
fn any(spec: Option<Vec<u8>>) -> Any {
    Any { type_url: SPEC.into(), value: spec.unwrap_or_else(|| br#"{"ociVersion":"1.2.0","process":{}}"#.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pod_says_of_its_kind_is_not_taken_for_it() {
        let own = BTreeMap::from([(KIND.to_owned(), "sandbox".to_owned()), ("app".into(), "web".into())]);
        let shown = labels(own, "container");
        assert_eq!((shown[KIND].as_str(), shown["app"].as_str(), shown.len()), ("container", "web", 2));
    }
}
