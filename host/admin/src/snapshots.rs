use tonic::Status;
use wharf_cri::to_status;
use wharf_plugins::Usage;
use wharf_snapshots::{Info, Kind, Snapshots};

use crate::{
    proto::{Snapshot, SnapshotsReply, SnapshotsRequest},
    service::namespace,
};

/// Oldest first. One that cannot be measured takes nothing that could be told.
pub(crate) async fn list(snapshots: &Snapshots, request: &SnapshotsRequest) -> Result<SnapshotsReply, Status> {
    let namespace = namespace(&request.namespace);
    let mut all = Vec::new();
    for info in snapshots.list(namespace).await.map_err(|error| to_status(&error))? {
        let usage = snapshots.usage(namespace, &info.key).await.unwrap_or_default();
        all.push(snapshot(info, usage));
    }
    all.sort_by_key(|snapshot| snapshot.created);
    Ok(SnapshotsReply { snapshotter: snapshots.plugin().to_owned(), snapshots: all })
}

fn snapshot(info: Info, usage: Usage) -> Snapshot {
    let kind = match info.kind {
        Kind::Active => "active",
        Kind::Committed => "committed",
        Kind::View => "view",
    };
    Snapshot {
        key: info.key,
        parent: info.parent.unwrap_or_default(),
        kind: kind.to_owned(),
        bytes: usage.bytes,
        inodes: usage.inodes,
        created: info.created,
        broken: info.broken.unwrap_or_default(),
    }
}
