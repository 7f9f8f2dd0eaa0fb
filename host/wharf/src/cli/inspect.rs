use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use tonic::{Code, Status, transport::Channel};
use wharf_admin::proto::{ImageStatusRequest, admin_client::AdminClient};
use wharf_api::cri::{
    ContainerStatus, ContainerStatusRequest, PodSandboxState, PodSandboxStatus, PodSandboxStatusRequest,
};
use wharf_registry::Reference;

use super::{
    Endpoint, Namespace, client,
    find::{self, Runtime},
    images,
    out::{errln, outln},
};

#[derive(Clone, Copy, Eq, PartialEq, clap::ValueEnum)]
enum Type {
    Container,
    Pod,
    Image,
}

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Containers, pods or images: ids, beginnings of ids, or names; of several, an array is printed
    #[arg(required = true)]
    objects: Vec<String>,
    /// What they are, where that is not clear
    #[arg(long = "type", short)]
    kind: Option<Type>,
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
}

/// Whom to ask.
struct Asked {
    runtime: Runtime,
    admin: AdminClient<Channel>,
    namespace: String,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(show(flags))
}

/// All of them are looked for; what is there is shown, and the first error told at the end.
async fn show(flags: Flags) -> Result<()> {
    let Flags { objects, kind, namespace, endpoint } = flags;
    let mut asked = Asked {
        runtime: client::runtime(&endpoint).await?,
        admin: client::admin(&endpoint).await?,
        namespace: namespace.namespace,
    };
    let (mut all, mut failed) = (Vec::with_capacity(objects.len()), None);
    for object in &objects {
        match (asked.find(object, kind).await, &failed) {
            (Ok(found), _) => all.push(found),
            (Err(error), None) => failed = Some(error),
            (Err(error), Some(_)) => errln!("wharf: {error:#}"),
        }
    }
    let shown = match all.as_slice() {
        [only] if objects.len() == 1 => outln!("{only:#}"),
        [] if objects.len() == 1 => Ok(()),
        _ => outln!("{:#}", Value::Array(all)),
    };
    failed.map_or(shown, Err)
}

// === impl Asked ===

impl Asked {
    /// As the first kind that has it, unless one is named: by an id, then by a name.
    async fn find(&mut self, object: &str, kind: Option<Type>) -> Result<Value> {
        let ways = [
            (Type::Container, false),
            (Type::Pod, false),
            (Type::Container, true),
            (Type::Pod, true),
            // The daemon knows images by both.
            (Type::Image, true),
        ];
        for (way, by_name) in ways.into_iter().filter(|(way, _)| kind.is_none_or(|kind| kind == *way)) {
            match self.look(way, by_name, object).await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => return Err(client::said(status)),
            }
        }
        let what = match kind {
            None => "container, pod or image",
            Some(Type::Container) => "container",
            Some(Type::Pod) => "pod",
            Some(Type::Image) => "image",
        };
        Err(client::said(Status::not_found(format!("{object:?}: there is no {what} of that id or name"))))
    }

    async fn look(&mut self, kind: Type, by_name: bool, object: &str) -> Result<Option<Value>, Status> {
        match kind {
            Type::Container if by_name => match find::container_called(&mut self.runtime, object).await? {
                Some(id) => self.container(&id).await,
                None => Ok(None),
            },
            Type::Container => self.container(object).await,
            Type::Pod if by_name => match find::pod_called(&mut self.runtime, object).await? {
                Some(id) => self.pod(&id).await,
                None => Ok(None),
            },
            Type::Pod => self.pod(object).await,
            Type::Image => self.image(object).await,
        }
    }

    async fn container(&mut self, object: &str) -> Result<Option<Value>, Status> {
        let request = ContainerStatusRequest { container_id: object.to_owned(), verbose: true };
        let answer = self.runtime.container_status(request).await?.into_inner();
        Ok(answer.status.map(|status| shown("container", container_json(&status), &answer.info)))
    }

    async fn pod(&mut self, object: &str) -> Result<Option<Value>, Status> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: object.to_owned(), verbose: true };
        let answer = self.runtime.pod_sandbox_status(request).await?.into_inner();
        Ok(answer.status.map(|status| shown("pod", pod_json(&status), &answer.info)))
    }

    async fn image(&mut self, object: &str) -> Result<Option<Value>, Status> {
        let request = ImageStatusRequest { namespace: self.namespace.clone(), image: object.to_owned() };
        let answer = match self.admin.image_status(request).await {
            // No image can be called so.
            Err(status) if status.code() == Code::InvalidArgument && object.parse::<Reference>().is_err() => {
                return Ok(None);
            }
            answer => answer?.into_inner(),
        };
        let info = BTreeMap::from([("info".to_owned(), answer.info)]);
        Ok(answer.image.map(|image| shown("image", images::to_json(&image), &info)))
    }
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
        "createdAt": status.created_at.to_string(), "startedAt": status.started_at.to_string(),
        "finishedAt": status.finished_at.to_string(),
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
        "attempt": metadata.attempt, "state": state, "createdAt": status.created_at.to_string(),
        "ip": status.network.as_ref().map(|network| network.ip.clone()), "labels": status.labels,
        "annotations": status.annotations, "runtimeHandler": status.runtime_handler,
    })
}
