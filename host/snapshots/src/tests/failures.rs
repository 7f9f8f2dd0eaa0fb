use wharf_error::Kind as ErrorKind;
use wharf_plugins::{Place, Plan, Step};

use super::{NS, Node, none};

#[tokio::test]
async fn a_prepare_that_fails_leaves_nothing() {
    let node = Node::new();
    let daemon = node.start();
    daemon.backend.fail(&["prepare"]);
    let error = daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains("snapshot c: prepare: plugin dirs: prepare 1 on []: failed on purpose"),
        "{error}"
    );
    assert!(daemon.keys().await.is_empty());
    daemon.assert_whole().await;
    daemon.backend.fail(&[]);
    daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap();
    assert_eq!(daemon.snapshots.stat(NS, "c").await.unwrap().id, 2, "a number is not used again");
}

#[tokio::test]
async fn a_prepare_that_cannot_be_undone_either_is_undone_later() {
    let node = Node::new();
    let daemon = node.start();
    daemon.backend.amid(|_| ());
    daemon.backend.fail(&["prepare", "remove"]);
    daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap_err();
    std::fs::create_dir(daemon.backend.dir(1)).unwrap();
    assert!(daemon.snapshots.stat(NS, "c").await.unwrap_err().is_not_found());
    let problems = daemon.snapshots.problems().await.unwrap();
    assert_eq!(problems[0].what, "is being prepared");
    let error = daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap_err();
    assert!(error.to_string().contains("remove 1: failed on purpose"), "the key is not free: {error}");
    daemon.backend.fail(&[]);
    daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap();
    daemon.assert_whole().await;

    // And by a start.
    daemon.backend.fail(&["prepare", "remove"]);
    daemon.snapshots.prepare(NS, "d", None, none()).await.unwrap_err();
    drop(daemon);
    let daemon = node.start();
    assert_eq!(daemon.keys().await, ["c"]);
    daemon.assert_whole().await;
}

#[tokio::test]
async fn a_commit_that_fails_can_be_tried_again_or_removed() {
    let node = Node::new();
    let daemon = node.start();
    for key in ["one", "two"] {
        daemon.snapshots.prepare(NS, key, None, none()).await.unwrap();
    }
    daemon.backend.fail(&["commit"]);
    for (key, name) in [("one", "a"), ("two", "b")] {
        let error = daemon.snapshots.commit(NS, name, key).await.unwrap_err();
        assert!(error.to_string().contains("failed on purpose"), "{error}");
    }
    assert_eq!(daemon.keys().await, ["one", "two"]);
    daemon.backend.fail(&[]);
    let error = daemon.snapshots.mounts(NS, "one").await.unwrap_err();
    assert!(error.to_string().contains("is being committed as a"), "{error}");
    daemon.snapshots.commit(NS, "a", "one").await.unwrap();
    daemon.snapshots.remove(NS, "two").await.unwrap();
    assert_eq!(daemon.keys().await, ["a"]);
    daemon.assert_whole().await;
}

#[tokio::test]
async fn two_commits_of_one_name_leave_one() {
    let node = Node::new();
    let daemon = node.start();
    for key in ["one", "two"] {
        daemon.snapshots.prepare(NS, key, None, none()).await.unwrap();
    }
    // The first was told nothing, the second made the layer; then the daemon ended.
    daemon.backend.fail(&["commit 1"]);
    daemon.snapshots.commit(NS, "a", "one").await.unwrap_err();
    daemon.snapshots.commit(NS, "a", "two").await.unwrap();
    drop(daemon);
    let daemon = node.start();
    assert_eq!(daemon.keys().await, ["a"]);
    assert_eq!(daemon.snapshots.stat(NS, "a").await.unwrap().id, 2);
    daemon.assert_whole().await;
}

#[tokio::test]
async fn a_removal_that_fails_is_repeated_by_the_next_call_and_the_next_start() {
    let node = Node::new();
    let daemon = node.start();
    for key in ["one", "two", "three"] {
        daemon.layer(key, None).await;
    }
    daemon.backend.fail(&["remove"]);
    for key in ["one", "two", "three"] {
        daemon.snapshots.remove(NS, key).await.unwrap_err();
    }
    assert!(daemon.keys().await.is_empty(), "gone for everybody");
    daemon.backend.fail(&[]);
    daemon.snapshots.remove(NS, "one").await.unwrap();
    daemon.snapshots.prepare(NS, "two", None, none()).await.unwrap();
    assert_eq!(daemon.backend.on_disk(), [3, 4]);
    drop(daemon);
    let daemon = node.start();
    assert_eq!(daemon.keys().await, ["two"]);
    daemon.assert_whole().await;
}

#[tokio::test]
async fn a_start_goes_on_when_something_cannot_be_settled() {
    let node = Node::new();
    let daemon = node.start();
    for key in ["one", "two"] {
        daemon.layer(key, None).await;
    }
    daemon.backend.fail(&["remove"]);
    for key in ["one", "two"] {
        daemon.snapshots.remove(NS, key).await.unwrap_err();
    }
    drop(daemon);
    let backend = node.backend();
    backend.fail(&["remove 1"]);
    let daemon = node.start_with(backend, std::sync::Arc::new(crate::probe::NoProbe));
    let problems: Vec<String> = daemon.snapshots.problems().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["snapshot one of k8s.io: is being removed"]);
    assert_eq!(daemon.backend.on_disk(), [1]);
}

#[tokio::test]
async fn a_plan_that_breaks_a_rule_is_the_plugins_fault_and_leaves_nothing() {
    let node = Node::new();
    let daemon = node.start();
    daemon.layer("a", None).await;
    daemon.snapshots.prepare(NS, "good", Some("a"), none()).await.unwrap();
    let foreign = Step::Bind { at: Place::new(1, "fs").unwrap(), read_only: false };
    *daemon.backend.plan.lock().unwrap() = Some(Plan { steps: vec![foreign] });
    let error = daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(
        error.to_string().contains("plugin dirs: prepare: plan of layer 3: step 0: 1/fs may not be written"),
        "{error}"
    );
    let error = daemon.snapshots.mounts(NS, "good").await.unwrap_err();
    assert!(error.to_string().contains("plugin dirs: mounts: plan of layer 2"), "{error}");
    daemon.assert_whole().await;
    assert_eq!(daemon.keys().await, ["a", "good"]);
}
