use std::{collections::HashSet, fs};

use wharf_error::Kind as ErrorKind;
use wharf_plugins::Content;

use super::{NS, Node, none};
use crate::{Kind, Mount};

#[tokio::test]
async fn from_an_empty_layer_to_a_containers_root() {
    let node = Node::new();
    let daemon = node.start();
    let (snapshots, root) = (&daemon.snapshots, node.0.path().join("snapshots/dirs"));
    let mounts = snapshots.prepare(NS, "unpack a", None, none()).await.unwrap();
    assert_eq!(mounts.root, root);
    let fs_of = |id: u64| root.join(id.to_string()).join("fs").to_str().unwrap().to_owned();
    assert_eq!(
        mounts.mounts,
        [Mount { type_: "bind".into(), source: fs_of(1), options: vec!["rw".into(), "rbind".into()] }]
    );
    let target = snapshots.content_dir(NS, "unpack a").await.unwrap();
    assert_eq!((target.dir.to_str().unwrap(), &target.content), (&*fs_of(1), &Content::OverlayDiff("fs".into())));
    fs::write(target.dir.join("file"), vec![1; 5000]).unwrap();
    assert_eq!(snapshots.usage(NS, "unpack a").await.unwrap().inodes, 2);
    snapshots.commit(NS, "sha256:a", "unpack a").await.unwrap();
    daemon.layer("sha256:b", Some("sha256:a")).await;

    let mounts = snapshots.prepare(NS, "container", Some("sha256:b"), none()).await.unwrap();
    let work = root.join("3/work").to_str().unwrap().to_owned();
    let options =
        [format!("lowerdir={}:{}", fs_of(2), fs_of(1)), format!("upperdir={}", fs_of(3)), format!("workdir={work}")];
    assert_eq!(mounts.mounts[0].options, options);
    assert_eq!(snapshots.mounts(NS, "container").await.unwrap(), mounts);
    let target = snapshots.content_dir(NS, "container").await.unwrap();
    assert_eq!(target.parents, [root.join("2/fs"), root.join("1/fs")]);
    let view = snapshots.view(NS, "look", Some("sha256:a"), none()).await.unwrap();
    assert_eq!(view.mounts[0].options, ["ro", "rbind"]);

    let info = snapshots.stat(NS, "sha256:a").await.unwrap();
    assert_eq!((info.kind, info.parent.as_deref(), info.id), (Kind::Committed, None, 1));
    assert_eq!(snapshots.usage(NS, "sha256:a").await.unwrap().inodes, 2, "as it was at commit");
    assert!(info.created > 0 && info.updated >= info.created);
    assert_eq!(daemon.keys().await, ["container", "look", "sha256:a", "sha256:b"]);
    assert_eq!(snapshots.stat("default", "sha256:a").await.unwrap_err().kind(), ErrorKind::NotFound);
    daemon.assert_whole().await;

    for key in ["container", "look", "sha256:b", "sha256:a"] {
        snapshots.remove(NS, key).await.unwrap();
    }
    daemon.assert_whole().await;
    assert!(daemon.backend.on_disk().is_empty());
    assert!(snapshots.remove(NS, "container").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn what_is_refused_and_how() {
    let node = Node::new();
    let daemon = node.start();
    let snapshots = &daemon.snapshots;
    daemon.layer("a", None).await;
    snapshots.prepare(NS, "one", Some("a"), none()).await.unwrap();
    snapshots.view(NS, "look", Some("a"), none()).await.unwrap();
    let refused = [
        (
            snapshots.prepare(NS, "one", None, none()).await.map(drop),
            ErrorKind::AlreadyExists,
            "one: prepare: there is a snapshot of that key, active",
        ),
        (snapshots.prepare(NS, "a", None, none()).await.map(drop), ErrorKind::AlreadyExists, "committed, ready"),
        (
            snapshots.prepare(NS, "two", Some("nobody"), none()).await.map(drop),
            ErrorKind::NotFound,
            "parent snapshot nobody not found",
        ),
        (
            snapshots.prepare(NS, "two", Some("one"), none()).await.map(drop),
            ErrorKind::InvalidArgument,
            "is active, not committed",
        ),
        (
            snapshots.prepare("default", "two", Some("a"), none()).await.map(drop),
            ErrorKind::NotFound,
            "parent snapshot a not found",
        ),
        (snapshots.prepare(NS, "two", Some("two"), none()).await.map(drop), ErrorKind::NotFound, "parent snapshot two"),
        (snapshots.prepare(NS, "", None, none()).await.map(drop), ErrorKind::InvalidArgument, "is empty"),
        (
            snapshots.prepare(NS, "a\u{1f}b", None, none()).await.map(drop),
            ErrorKind::InvalidArgument,
            "control character",
        ),
        (snapshots.mounts(NS, "a").await.map(drop), ErrorKind::FailedPrecondition, "is committed"),
        (snapshots.mounts(NS, "nobody").await.map(drop), ErrorKind::NotFound, "snapshot nobody not found"),
        (snapshots.commit(NS, "b", "nobody").await, ErrorKind::NotFound, "snapshot nobody not found"),
        (snapshots.commit(NS, "b", "look").await, ErrorKind::FailedPrecondition, "it is view, not active"),
        (snapshots.commit(NS, "a", "one").await, ErrorKind::AlreadyExists, "there is a snapshot a"),
        (snapshots.commit(NS, "one", "one").await, ErrorKind::AlreadyExists, "there is a snapshot one"),
        (snapshots.content_dir(NS, "look").await.map(drop), ErrorKind::FailedPrecondition, "is view"),
        (snapshots.remove(NS, "a").await, ErrorKind::FailedPrecondition, "it is the parent of look, one"),
    ];
    for (result, kind, text) in refused {
        let error = result.expect_err(text);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    for key in ["x", "y"] {
        let labels = [("containerd.io/snapshot/max-size".to_owned(), "1000".to_owned())].into();
        let error = snapshots.prepare(NS, key, None, labels).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    daemon.assert_whole().await;
    assert_eq!(daemon.keys().await, ["a", "look", "one"]);
}

#[tokio::test]
async fn the_same_key_in_two_namespaces_is_two_snapshots() {
    let node = Node::new();
    let daemon = node.start();
    for namespace in [NS, "default"] {
        daemon.snapshots.prepare(namespace, "unpack", None, none()).await.unwrap();
        daemon.snapshots.commit(namespace, "a", "unpack").await.unwrap();
    }
    daemon.snapshots.prepare("default", "c", Some("a"), none()).await.unwrap();
    daemon.snapshots.remove(NS, "a").await.unwrap();
    assert!(daemon.snapshots.remove("default", "a").await.is_err(), "its own child stands on it");
    assert_eq!(daemon.backend.on_disk(), [2, 3]);
}

#[tokio::test]
async fn labels_reach_the_plugin_and_the_committed_snapshot_by_prefix() {
    let node = Node::new();
    let daemon = node.start();
    let labels = [("containerd.io/snapshot/x", "1"), ("containerd.io/gc.root", "2")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    daemon.snapshots.prepare(NS, "k", None, labels).await.unwrap();
    assert_eq!(daemon.snapshots.stat(NS, "k").await.unwrap().labels.len(), 2);
    daemon.snapshots.commit(NS, "a", "k").await.unwrap();
    let labels: Vec<String> = daemon.snapshots.stat(NS, "a").await.unwrap().labels.into_keys().collect();
    assert_eq!(labels, ["containerd.io/snapshot/x"]);
}

#[tokio::test]
async fn a_layer_can_be_committed_onto_another_parent() {
    let node = Node::new();
    let daemon = node.start();
    let snapshots = &daemon.snapshots;
    assert!(snapshots.can_commit_onto());
    for key in ["1", "2"] {
        snapshots.prepare(NS, key, None, none()).await.unwrap();
    }
    let early = snapshots.commit_onto(NS, "b", "2", Some("a")).await.unwrap_err();
    assert!(early.is_not_found(), "{early}");
    snapshots.commit_onto(NS, "a", "1", None).await.unwrap();
    snapshots.commit_onto(NS, "b", "2", Some("a")).await.unwrap();
    assert_eq!(snapshots.stat(NS, "b").await.unwrap().parent.as_deref(), Some("a"));
    assert!(daemon.backend.calls.lock().unwrap().contains(&"commit 2 on [1]".to_owned()));
    assert!(snapshots.remove(NS, "a").await.is_err(), "b stands on it");
    let mut ordered = node.backend();
    ordered.features.extra.clear();
    drop(daemon);
    let daemon = node.start_with(ordered, std::sync::Arc::new(crate::probe::NoProbe));
    daemon.snapshots.prepare(NS, "3", None, none()).await.unwrap();
    let error = daemon.snapshots.commit_onto(NS, "c", "3", Some("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn gc_takes_what_nothing_needs_leaf_first_and_goes_on_after_a_failure() {
    let node = Node::new();
    let daemon = node.start();
    // base ─ kept;  base ─ used ─ (container);  old1 ─ old2 ─ old3;  stuck.
    for (name, parent) in [
        ("base", None),
        ("kept", Some("base")),
        ("used", Some("base")),
        ("old1", None),
        ("old2", Some("old1")),
        ("old3", Some("old2")),
        ("stuck", None),
    ] {
        daemon.layer(name, parent).await;
    }
    daemon.snapshots.prepare(NS, "container", Some("used"), none()).await.unwrap();
    daemon.backend.fail(&["remove 7"]);
    let keep: HashSet<String> = ["kept".to_owned()].into();
    let collected = daemon.snapshots.gc(NS, &keep).await.unwrap();
    assert_eq!(collected.removed, ["old3", "old2", "old1"]);
    assert_eq!(collected.failed.len(), 1);
    assert!(collected.failed[0].1.to_string().contains("stuck: remove: plugin dirs: remove 7: failed on purpose"));
    assert_eq!(daemon.keys().await, ["base", "container", "kept", "used"]);
    assert_eq!(daemon.snapshots.problems().await.unwrap()[0].to_string(), "snapshot stuck of k8s.io: is being removed");

    daemon.snapshots.prepare(NS, "stopped", Some("used"), none()).await.unwrap();
    daemon.backend.fail(&["remove"]);
    daemon.snapshots.remove(NS, "stopped").await.unwrap_err();
    daemon.backend.fail(&[]);
    assert_eq!(daemon.snapshots.gc(NS, &keep).await.unwrap().removed, ["stopped", "stuck"]);
    assert!(daemon.snapshots.gc(NS, &keep).await.unwrap().removed.is_empty());
    daemon.assert_whole().await;
}
