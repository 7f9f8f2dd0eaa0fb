use anyhow::Result;
use serde_json::json;
use wharf_admin::proto::{Snapshot, SnapshotsRequest};

use super::{
    Endpoint, Namespace, client,
    out::outln,
    table::{ago, short, size, table},
};

#[derive(clap::Args)]
pub(super) struct Flags {
    #[command(flatten)]
    namespace: Namespace,
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(list(flags))
}

async fn list(flags: Flags) -> Result<()> {
    let mut admin = client::admin(&flags.endpoint).await?;
    let request = SnapshotsRequest { namespace: flags.namespace.namespace };
    let reply = admin.snapshots(request).await.map_err(client::said)?.into_inner();
    if flags.json {
        let all: Vec<_> = reply.snapshots.iter().map(to_json).collect();
        return outln!("{:#}", json!({ "snapshotter": reply.snapshotter, "snapshots": all }));
    }
    let mut rows = table(["KEY", "PARENT", "KIND", "SIZE", "FILES", "CREATED", "STATE"]);
    for snapshot in &reply.snapshots {
        rows.add_row([
            short(&snapshot.key),
            short(&snapshot.parent),
            snapshot.kind.clone(),
            size(snapshot.bytes),
            snapshot.inodes.to_string(),
            ago(snapshot.created),
            if snapshot.broken.is_empty() { "good".to_owned() } else { format!("broken: {}", snapshot.broken) },
        ]);
    }
    outln!("{rows}")
}

fn to_json(snapshot: &Snapshot) -> serde_json::Value {
    json!({
        "key": snapshot.key, "parent": snapshot.parent, "kind": snapshot.kind, "bytes": snapshot.bytes,
        "inodes": snapshot.inodes, "createdAt": snapshot.created.to_string(), "broken": snapshot.broken,
    })
}
