use std::{sync::mpsc, time::Duration};

use super::{Daemon, NS, Node, none};
use crate::Measured;

/// How often the plugin was asked to measure.
fn measured(daemon: &Daemon) -> usize {
    daemon.backend.calls.lock().unwrap().iter().filter(|call| call.starts_with("measure")).count()
}

/// What "c" takes, once that is known.
async fn seen(daemon: &Daemon) -> Measured {
    loop {
        match daemon.snapshots.usage_lately(NS, "c").await {
            Some(measured) => return measured,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_it_is_measured_once() {
    let node = Node::new();
    let daemon = node.start();
    daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap();
    futures::future::join_all((0..20).map(|_| daemon.snapshots.usage_lately(NS, "c"))).await;
    let one = seen(&daemon).await;
    assert!(one.usage.inodes == 1 && one.at > 0, "{one:?}");
    assert_eq!(measured(&daemon), 1);
    // Another of the same name is another.
    daemon.snapshots.remove(NS, "c").await.unwrap();
    let target = daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap();
    std::fs::write(target.mounts[0].source.clone() + "/file", "more").unwrap();
    assert_eq!(seen(&daemon).await.usage.inodes, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_measured_is_not_asked_after_again_and_again() {
    let node = Node::new();
    let daemon = node.start();
    daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap();
    daemon.backend.fail(&["measure"]);
    while measured(&daemon) == 0 {
        assert!(daemon.snapshots.usage_lately(NS, "c").await.is_none());
    }
    for _ in 0..20 {
        assert!(daemon.snapshots.usage_lately(NS, "c").await.is_none());
    }
    assert!(measured(&daemon) <= 2, "{}", measured(&daemon));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_long_is_told_once_it_is_there() {
    let node = Node::new();
    let daemon = node.start();
    daemon.snapshots.prepare(NS, "c", None, none()).await.unwrap();
    let (release, released) = mpsc::channel::<()>();
    daemon.backend.amid(move |call| {
        if call == "measure" {
            // Until the sender is dropped.
            let _ = released.recv();
        }
    });
    assert!(daemon.snapshots.usage_lately(NS, "c").await.is_none(), "it is not waited for");
    drop(release);
    seen(&daemon).await;
    assert_eq!(measured(&daemon), 1);
}
