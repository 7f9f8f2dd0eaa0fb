use std::{collections::HashSet, fs, sync::Arc};

use wharf_error::Kind as ErrorKind;

use super::{Daemon, NS, Node, none};
use crate::{
    Snapshots,
    row::{Row, Rows},
};

#[tokio::test]
async fn a_layer_that_nobody_knows_goes_with_the_second_sweep() {
    let node = Node::new();
    let daemon = node.start();
    daemon.layer("a", None).await;
    for id in [70, 71] {
        fs::create_dir_all(daemon.backend.dir(id).join("fs")).unwrap();
    }
    let nobody = HashSet::new();
    let in_use: HashSet<u64> = [71].into();
    let first = daemon.snapshots.sweep(&nobody).await.unwrap();
    assert_eq!((first.set_aside, first.removed), (vec![70, 71], vec![]));
    drop(daemon);

    // A start only looks.
    let daemon = node.start();
    assert_eq!(daemon.backend.on_disk(), [1, 70, 71]);
    daemon.backend.fail(&["remove 70"]);
    let second = daemon.snapshots.sweep(&in_use).await.unwrap();
    assert_eq!(second.failed.len(), 1);
    daemon.backend.fail(&[]);
    let third = daemon.snapshots.sweep(&in_use).await.unwrap();
    assert_eq!((third.set_aside, third.removed), (vec![], vec![70]));
    assert_eq!(daemon.backend.on_disk(), [1, 71], "a live shim names it");
    // No longer named, it is again seen for the first time.
    assert_eq!(daemon.snapshots.sweep(&nobody).await.unwrap().set_aside, [71]);
    assert_eq!(daemon.snapshots.sweep(&nobody).await.unwrap().removed, [71]);
    daemon.assert_whole().await;
}

#[tokio::test]
async fn a_snapshot_without_its_layer_is_marked_and_never_deleted() {
    let node = Node::new();
    let daemon = node.start();
    daemon.layer("a", None).await;
    daemon.snapshots.prepare(NS, "c", Some("a"), none()).await.unwrap();
    let away = node.0.path().join("away");
    fs::rename(daemon.backend.dir(1), &away).unwrap();
    drop(daemon);

    let daemon = node.start();
    assert_eq!(daemon.keys().await, ["a", "c"]);
    let broken = daemon.snapshots.stat(NS, "a").await.unwrap().broken.unwrap();
    assert!(broken.contains("its layer 1 is not in"), "{broken}");
    assert_eq!(daemon.snapshots.problems().await.unwrap().len(), 1);
    let error = daemon.snapshots.prepare(NS, "d", Some("a"), none()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert!(error.to_string().contains("parent snapshot a: its layer 1 is not in"), "{error}");

    fs::rename(&away, daemon.backend.dir(1)).unwrap();
    assert!(daemon.snapshots.sweep(&HashSet::new()).await.unwrap().broken.is_empty());
    daemon.snapshots.prepare(NS, "d", Some("a"), none()).await.unwrap();
    daemon.assert_whole().await;
}

#[tokio::test]
async fn a_missing_layer_is_replaced_by_committing_it_again() {
    let node = Node::new();
    let daemon = node.start();
    daemon.layer("base", None).await;
    daemon.layer("a", Some("base")).await;
    daemon.snapshots.prepare(NS, "c", Some("a"), none()).await.unwrap();
    fs::remove_dir_all(daemon.backend.dir(2)).unwrap();
    let found = daemon.snapshots.sweep(&HashSet::new()).await.unwrap();
    assert_eq!(found.broken, ["a"]);

    daemon.layer("a", Some("base")).await;
    let info = daemon.snapshots.stat(NS, "a").await.unwrap();
    assert_eq!((info.id, info.broken, info.parent.as_deref()), (4, None, Some("base")));
    let mounts = daemon.snapshots.mounts(NS, "c").await.unwrap();
    assert!(mounts.mounts[0].options[0].contains("/4/fs:"), "{mounts:?}");
    assert!(daemon.snapshots.remove(NS, "a").await.is_err(), "c still stands on it");
    daemon.assert_whole().await;
    for key in ["c", "a", "base"] {
        daemon.snapshots.remove(NS, key).await.unwrap();
    }
    daemon.assert_whole().await;
}

#[tokio::test]
async fn an_empty_folder_or_another_stores_is_not_taken_for_lost_layers() {
    let node = Node::new();
    let daemon = node.start();
    daemon.layer("a", None).await;
    drop(daemon);
    let folder = node.0.path().join("snapshots/dirs");
    let away = node.0.path().join("away");
    fs::rename(&folder, &away).unwrap();
    let start = || Snapshots::with_backend(node.store(), Arc::new(node.backend())).map(drop).unwrap_err();
    let error = start();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.to_string().contains("it is empty, but 1 snapshots are recorded"), "{error}");
    fs::remove_dir_all(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    fs::write(folder.join(".wharf-store-id"), "somebody\n").unwrap();
    assert!(start().to_string().contains("belong to the store somebody"));
    fs::write(folder.join(".wharf-store-id"), node.store().id()).unwrap();
    node.start().assert_whole().await;
}

#[tokio::test]
async fn a_backend_that_cannot_list_its_layers_settles_nothing_away() {
    let node = Node::new();
    let daemon = node.start();
    daemon.layer("a", None).await;
    drop(daemon);
    let backend = node.backend();
    backend.fail(&["layers"]);
    let error = Snapshots::with_backend(node.store(), Arc::new(backend)).map(drop).unwrap_err();
    assert!(error.to_string().contains("layers: failed on purpose"), "{error}");
    let daemon = node.start();
    assert_eq!(daemon.keys().await, ["a"]);
    daemon.assert_whole().await;
}

fn row(daemon: &Daemon, key: &str) -> Row {
    let at = daemon.snapshots_scope().row(key);
    daemon.store.read(|reader| reader.get::<Rows>(&at)).unwrap().unwrap()
}

impl Daemon {
    fn snapshots_scope(&self) -> crate::row::Scope {
        crate::row::Scope { namespace: NS.into(), plugin: "dirs".into() }
    }

    /// As if the machine had been started anew since.
    fn commit_in_another_boot(&self, key: &str) {
        let at = self.snapshots_scope().row(key);
        let row = Row { boot: "another".into(), ..row(self, key) };
        self.store.write_durable(move |writer| writer.put::<Rows>(&at, &row)).unwrap();
    }
}

#[tokio::test]
async fn a_reboot_drops_layers_that_were_not_flushed_and_what_stands_on_them() {
    let node = Node::new();
    let daemon = node.start();
    for (name, parent) in [("safe", None), ("lost", Some("safe")), ("on lost", Some("lost")), ("on safe", Some("safe"))]
    {
        daemon.layer(name, parent).await;
    }
    daemon.snapshots.prepare(NS, "container on lost", Some("on lost"), none()).await.unwrap();
    daemon.snapshots.prepare(NS, "container on safe", Some("on safe"), none()).await.unwrap();
    daemon.snapshots.flush().await.unwrap();
    for name in ["safe", "lost", "on lost", "on safe"] {
        assert!(row(&daemon, name).synced, "{name}");
        daemon.commit_in_another_boot(name);
    }
    let at = daemon.snapshots_scope().row("lost");
    let lost = Row { synced: false, ..row(&daemon, "lost") };
    daemon.store.write_durable(move |writer| writer.put::<Rows>(&at, &lost)).unwrap();
    drop(daemon);

    let daemon = node.start();
    assert_eq!(daemon.keys().await, ["container on safe", "on safe", "safe"]);
    daemon.assert_whole().await;
    let removals: Vec<String> =
        daemon.backend.calls.lock().unwrap().iter().filter(|call| call.starts_with("remove")).cloned().collect();
    assert_eq!(removals, ["remove 5", "remove 3", "remove 2"], "children first");
}

#[tokio::test]
async fn within_a_boot_nothing_is_dropped_and_the_thread_flushes() {
    let node = Node::new();
    let daemon = node.start();
    daemon.layer("a", None).await;
    assert_eq!(row(&daemon, "a").boot, daemon.store.boot());
    drop(daemon);
    let daemon = node.start();
    assert_eq!(daemon.keys().await, ["a"]);
    let begun = std::time::Instant::now();
    while !row(&daemon, "a").synced {
        assert!(begun.elapsed().as_secs() < 30, "never flushed");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
