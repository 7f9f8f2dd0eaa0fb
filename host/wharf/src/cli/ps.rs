use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use wharf_admin::proto::ImageStatusRequest;
use wharf_api::cri::{
    Container, ContainerFilter, ContainerState, ContainerStateValue, ListContainersRequest, ListPodSandboxRequest,
    PodSandboxMetadata,
};

use super::{
    CRI_NAMESPACE, Endpoint, client,
    out::outln,
    select::Selection,
    table::{ago, id, table},
};

#[derive(Clone, Copy, clap::ValueEnum)]
enum State {
    Created,
    Running,
    Exited,
    Unknown,
}

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Also those that do not run
    #[arg(long, short)]
    all: bool,
    /// Only those in this state
    #[arg(long, short, conflicts_with = "all")]
    state: Option<State>,
    /// Only those of this pod
    #[arg(long, short)]
    pod: Option<String>,
    /// Only those of this image
    #[arg(long)]
    image: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Print ids alone
    #[arg(long, short)]
    quiet: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
}

/// Whose containers, by their pods' ids.
type Pods = BTreeMap<String, PodSandboxMetadata>;

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(list(flags))
}

async fn list(flags: Flags) -> Result<()> {
    let mut client = client::runtime(&flags.endpoint).await?;
    let request = ListContainersRequest { filter: Some(filter(&flags)) };
    let mut containers = client.list_containers(request).await.map_err(client::said)?.into_inner().containers;
    let pods = client.list_pod_sandbox(ListPodSandboxRequest::default()).await.map_err(client::said)?.into_inner();
    let pods: Pods = pods.items.into_iter().map(|pod| (pod.id, pod.metadata.unwrap_or_default())).collect();
    if let Some(image) = flags.image {
        let mut admin = client::admin(&flags.endpoint).await?;
        let request = ImageStatusRequest { namespace: CRI_NAMESPACE.to_owned(), image };
        let found = admin.image_status(request).await.map_err(client::said)?.into_inner().image;
        let id = found.unwrap_or_default().id;
        containers.retain(|container| container.image_id == id);
    }
    containers.retain(|container| {
        let name = container.metadata.as_ref().map(|metadata| metadata.name.as_str()).unwrap_or_default();
        let namespace = pods.get(&container.pod_sandbox_id).map(|pod| pod.namespace.as_str()).unwrap_or_default();
        flags.selection.wants(name, namespace)
    });
    // The daemon tells the newest first.
    flags.selection.cut(&mut containers);
    if flags.json {
        outln!("{:#}", Value::Array(containers.iter().map(to_json).collect()))
    } else if flags.quiet {
        containers.iter().try_for_each(|container| outln!("{}", container.id))
    } else {
        show(&containers, &pods, flags.selection.no_trunc)
    }
}

fn filter(flags: &Flags) -> ContainerFilter {
    let state = match flags.state {
        Some(State::Created) => Some(ContainerState::ContainerCreated),
        Some(State::Running) => Some(ContainerState::ContainerRunning),
        Some(State::Exited) => Some(ContainerState::ContainerExited),
        Some(State::Unknown) => Some(ContainerState::ContainerUnknown),
        None if flags.all || flags.selection.whatever_state() => None,
        None => Some(ContainerState::ContainerRunning),
    };
    ContainerFilter {
        pod_sandbox_id: flags.pod.clone().unwrap_or_default(),
        state: state.map(|state| ContainerStateValue { state: state.into() }),
        label_selector: flags.selection.labels(),
        ..ContainerFilter::default()
    }
}

fn show(containers: &[Container], pods: &Pods, whole: bool) -> Result<()> {
    let mut rows = table(["CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE"]);
    for container in containers {
        let metadata = container.metadata.clone().unwrap_or_default();
        let pod = pods.get(&container.pod_sandbox_id).cloned().unwrap_or_default();
        rows.add_row([
            id(&container.id, whole),
            image(container, whole),
            ago(container.created_at),
            state(container).to_owned(),
            metadata.name,
            metadata.attempt.to_string(),
            id(&container.pod_sandbox_id, whole),
            pod.name,
            pod.namespace,
        ]);
    }
    outln!("{rows}")
}

/// As the client named it.
fn image(container: &Container, whole: bool) -> String {
    let name = container.image.as_ref().map(|image| match image.user_specified_image.as_str() {
        "" => image.image.as_str(),
        named => named,
    });
    let name = name.unwrap_or_default();
    if name.starts_with("sha256:") || name.starts_with("sha512:") { id(name, whole) } else { name.to_owned() }
}

fn state(container: &Container) -> &'static str {
    match container.state() {
        ContainerState::ContainerCreated => "created",
        ContainerState::ContainerRunning => "running",
        ContainerState::ContainerExited => "exited",
        ContainerState::ContainerUnknown => "unknown",
    }
}

fn to_json(container: &Container) -> Value {
    let metadata = container.metadata.clone().unwrap_or_default();
    json!({
        "id": container.id, "name": metadata.name, "attempt": metadata.attempt, "pod": container.pod_sandbox_id,
        "image": image(container, true), "imageId": container.image_id, "state": state(container),
        "createdAt": container.created_at.to_string(), "labels": container.labels, "annotations": container.annotations,
    })
}
