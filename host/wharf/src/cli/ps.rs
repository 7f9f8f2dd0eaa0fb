use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use wharf_api::cri::{
    Container, ContainerFilter, ContainerState, ContainerStateValue, ListContainersRequest, ListPodSandboxRequest,
};

use super::{
    Endpoint, client,
    table::{ago, short, table},
};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Also those that do not run
    #[arg(long, short)]
    all: bool,
    /// Only those of this pod
    #[arg(long, short)]
    pod: Option<String>,
    /// Print ids alone
    #[arg(long, short)]
    quiet: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    endpoint: Endpoint,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(list(flags))
}

async fn list(flags: Flags) -> Result<()> {
    let mut client = client::runtime(&flags.endpoint.socket).await?;
    let running = ContainerStateValue { state: ContainerState::ContainerRunning.into() };
    let filter = ContainerFilter {
        pod_sandbox_id: flags.pod.unwrap_or_default(),
        state: (!flags.all).then_some(running),
        ..ContainerFilter::default()
    };
    let request = ListContainersRequest { filter: Some(filter) };
    let containers = client.list_containers(request).await.map_err(client::said)?.into_inner().containers;
    if flags.json {
        println!("{:#}", Value::Array(containers.iter().map(to_json).collect()));
        return Ok(());
    }
    if flags.quiet {
        containers.iter().for_each(|container| println!("{}", container.id));
        return Ok(());
    }
    let pods = client.list_pod_sandbox(ListPodSandboxRequest::default()).await.map_err(client::said)?.into_inner();
    let pods: BTreeMap<_, _> =
        pods.items.into_iter().map(|pod| (pod.id, pod.metadata.unwrap_or_default().name)).collect();
    let mut rows = table(["CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD"]);
    for container in &containers {
        let metadata = container.metadata.clone().unwrap_or_default();
        rows.add_row([
            short(&container.id),
            image(container),
            ago(container.created_at),
            state(container).to_owned(),
            metadata.name,
            metadata.attempt.to_string(),
            short(&container.pod_sandbox_id),
            pods.get(&container.pod_sandbox_id).cloned().unwrap_or_default(),
        ]);
    }
    println!("{rows}");
    Ok(())
}

/// As the client named it; an id is cut.
fn image(container: &Container) -> String {
    let name = container.image.as_ref().map(|image| match image.user_specified_image.as_str() {
        "" => image.image.as_str(),
        named => named,
    });
    let name = name.unwrap_or_default();
    if name.starts_with("sha256:") { short(name) } else { name.to_owned() }
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
        "image": image(container), "imageId": container.image_id, "state": state(container),
        "createdAt": container.created_at, "labels": container.labels, "annotations": container.annotations,
    })
}
