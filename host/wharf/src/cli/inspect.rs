use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use tonic::Code;
use wharf_admin::proto::ImageStatusRequest;
use wharf_api::cri::{
    ContainerStatus, ContainerStatusRequest, PodSandboxState, PodSandboxStatus, PodSandboxStatusRequest,
};

use super::{Endpoint, Namespace, client, exit::Said, images};

#[derive(Clone, Copy, clap::ValueEnum)]
enum Type {
    Container,
    Pod,
    Image,
}

#[derive(clap::Args)]
pub(super) struct Flags {
    /// A container, a pod or an image: an id, the beginning of one, or an image's name
    object: String,
    /// What it is, where that is not clear
    #[arg(long = "type", short)]
    kind: Option<Type>,
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    endpoint: Endpoint,
}

pub(super) fn run(flags: &Flags) -> Result<()> {
    client::block_on(show(flags))
}

/// The first kind that has it, unless one is named.
async fn show(flags: &Flags) -> Result<()> {
    let kinds = flags.kind.map_or(vec![Type::Container, Type::Pod, Type::Image], |kind| vec![kind]);
    for kind in kinds {
        let found = match kind {
            Type::Container => container(flags).await,
            Type::Pod => pod(flags).await,
            Type::Image => image(flags).await,
        };
        match found {
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error),
            Ok(Some(found)) => {
                println!("{found:#}");
                return Ok(());
            }
            Ok(None) => {}
        }
    }
    Err(Said(tonic::Status::not_found(format!(
        "{:?}: there is no container, pod or image of that id or name",
        flags.object
    )))
    .into())
}

async fn container(flags: &Flags) -> Result<Option<Value>> {
    let request = ContainerStatusRequest { container_id: flags.object.clone(), verbose: true };
    let mut client = client::runtime(&flags.endpoint.socket).await?;
    let answer = client.container_status(request).await.map_err(client::said)?.into_inner();
    Ok(answer.status.map(|status| shown("container", container_json(&status), &answer.info)))
}

async fn pod(flags: &Flags) -> Result<Option<Value>> {
    let request = PodSandboxStatusRequest { pod_sandbox_id: flags.object.clone(), verbose: true };
    let mut client = client::runtime(&flags.endpoint.socket).await?;
    let answer = client.pod_sandbox_status(request).await.map_err(client::said)?.into_inner();
    Ok(answer.status.map(|status| shown("pod", pod_json(&status), &answer.info)))
}

async fn image(flags: &Flags) -> Result<Option<Value>> {
    let request = ImageStatusRequest { namespace: flags.namespace.namespace.clone(), image: flags.object.clone() };
    let mut admin = client::admin(&flags.endpoint.socket).await?;
    let answer = admin.image_status(request).await.map_err(client::said)?.into_inner();
    let info = BTreeMap::from([("info".to_owned(), answer.info)]);
    Ok(answer.image.map(|image| shown("image", images::to_json(&image), &info)))
}

fn shown(kind: &str, status: Value, info: &BTreeMap<String, String>) -> Value {
    // Each entry is JSON by itself; what most tools look for is under `info`.
    let parsed = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
    let mut info: BTreeMap<_, Value> = info.iter().map(|(key, text)| (key.clone(), parsed(text))).collect();
    let info = info.remove("info").unwrap_or_else(|| json!(info));
    json!({ "type": kind, "status": status, "info": info })
}

fn container_json(status: &ContainerStatus) -> Value {
    let metadata = status.metadata.clone().unwrap_or_default();
    let state = status.state().as_str_name().trim_start_matches("CONTAINER_").to_ascii_lowercase();
    json!({
        "id": status.id, "name": metadata.name, "attempt": metadata.attempt, "state": state,
        "createdAt": status.created_at, "startedAt": status.started_at, "finishedAt": status.finished_at,
        "exitCode": status.exit_code, "reason": status.reason, "message": status.message,
        "image": status.image.as_ref().map(|image| image.image.clone()), "imageId": status.image_id,
        "imageRef": status.image_ref, "logPath": status.log_path, "labels": status.labels,
        "annotations": status.annotations,
    })
}

fn pod_json(status: &PodSandboxStatus) -> Value {
    let metadata = status.metadata.clone().unwrap_or_default();
    let state = if status.state() == PodSandboxState::SandboxReady { "ready" } else { "not ready" };
    json!({
        "id": status.id, "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid,
        "attempt": metadata.attempt, "state": state, "createdAt": status.created_at,
        "ip": status.network.as_ref().map(|network| network.ip.clone()), "labels": status.labels,
        "annotations": status.annotations, "runtimeHandler": status.runtime_handler,
    })
}

/// Also for a name that cannot be an id.
fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Said>().is_some_and(|said| matches!(said.0.code(), Code::NotFound))
}
