use anyhow::Result;
use serde_json::{Value, json};
use wharf_api::cri::{ListPodSandboxRequest, PodSandbox, PodSandboxFilter, PodSandboxState, PodSandboxStateValue};

use super::{
    Endpoint, client,
    out::outln,
    select::Selection,
    table::{ago, id, table},
};

#[derive(Clone, Copy, clap::ValueEnum)]
enum State {
    Ready,
    #[value(alias = "not-ready")]
    Notready,
}

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Only those in this state
    #[arg(long, short)]
    state: Option<State>,
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

pub(super) fn run(flags: &Flags) -> Result<()> {
    client::block_on(list(flags))
}

async fn list(flags: &Flags) -> Result<()> {
    let mut client = client::runtime(&flags.endpoint).await?;
    let wanted = flags.state.map(|state| match state {
        State::Ready => PodSandboxState::SandboxReady,
        State::Notready => PodSandboxState::SandboxNotready,
    });
    let filter = PodSandboxFilter {
        state: wanted.map(|state| PodSandboxStateValue { state: state.into() }),
        label_selector: flags.selection.labels(),
        ..PodSandboxFilter::default()
    };
    let request = ListPodSandboxRequest { filter: Some(filter) };
    let mut pods = client.list_pod_sandbox(request).await.map_err(client::said)?.into_inner().items;
    pods.retain(|pod| {
        let metadata = pod.metadata.clone().unwrap_or_default();
        flags.selection.wants(&metadata.name, &metadata.namespace)
    });
    // The daemon tells the newest first.
    flags.selection.cut(&mut pods);
    if flags.json {
        outln!("{:#}", Value::Array(pods.iter().map(to_json).collect()))
    } else if flags.quiet {
        pods.iter().try_for_each(|pod| outln!("{}", pod.id))
    } else {
        let mut rows = table(["POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"]);
        for pod in &pods {
            let metadata = pod.metadata.clone().unwrap_or_default();
            let runtime = if pod.runtime_handler.is_empty() { "(default)" } else { &pod.runtime_handler };
            rows.add_row([
                id(&pod.id, flags.selection.no_trunc),
                ago(pod.created_at),
                state(pod).to_owned(),
                metadata.name,
                metadata.namespace,
                metadata.attempt.to_string(),
                runtime.to_owned(),
            ]);
        }
        outln!("{rows}")
    }
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
        "attempt": metadata.attempt, "state": state(pod), "createdAt": pod.created_at.to_string(), "labels": pod.labels,
        "annotations": pod.annotations, "runtimeHandler": pod.runtime_handler,
    })
}
