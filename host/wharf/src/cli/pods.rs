use anyhow::Result;
use serde_json::{Value, json};
use wharf_api::cri::{ListPodSandboxRequest, PodSandbox, PodSandboxState};

use super::{
    Endpoint, client,
    table::{ago, short, table},
};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Print ids alone
    #[arg(long, short)]
    quiet: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    endpoint: Endpoint,
}

pub(super) fn run(flags: &Flags) -> Result<()> {
    client::block_on(list(flags))
}

async fn list(flags: &Flags) -> Result<()> {
    let mut client = client::runtime(&flags.endpoint.socket).await?;
    let pods = client.list_pod_sandbox(ListPodSandboxRequest::default()).await.map_err(client::said)?;
    let pods = pods.into_inner().items;
    if flags.json {
        println!("{:#}", Value::Array(pods.iter().map(to_json).collect()));
    } else if flags.quiet {
        pods.iter().for_each(|pod| println!("{}", pod.id));
    } else {
        let mut rows = table(["POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"]);
        for pod in &pods {
            let metadata = pod.metadata.clone().unwrap_or_default();
            let runtime = if pod.runtime_handler.is_empty() { "(default)" } else { &pod.runtime_handler };
            rows.add_row([
                short(&pod.id),
                ago(pod.created_at),
                state(pod).to_owned(),
                metadata.name,
                metadata.namespace,
                metadata.attempt.to_string(),
                runtime.to_owned(),
            ]);
        }
        println!("{rows}");
    }
    Ok(())
}

fn state(pod: &PodSandbox) -> &'static str {
    match pod.state() {
        PodSandboxState::SandboxReady => "ready",
        PodSandboxState::SandboxNotready => "not ready",
    }
}

fn to_json(pod: &PodSandbox) -> Value {
    let metadata = pod.metadata.clone().unwrap_or_default();
    json!({
        "id": pod.id, "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid,
        "attempt": metadata.attempt, "state": state(pod), "createdAt": pod.created_at, "labels": pod.labels,
        "annotations": pod.annotations, "runtimeHandler": pod.runtime_handler,
    })
}
