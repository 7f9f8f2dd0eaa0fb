use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use wharf_error::Kind as ErrorKind;

use super::{NS, Node, none};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_prepares_of_one_key_one_wins() {
    let node = Node::new();
    let daemon = node.start();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let snapshots = daemon.snapshots.clone();
            tokio::spawn(async move { snapshots.prepare(NS, "c", None, none()).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(daemon.backend.calls.lock().unwrap().iter().filter(|call| call.starts_with("prepare")).count(), 1);
    daemon.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_is_never_removed_under_a_child_that_is_made() {
    let node = Node::new();
    let daemon = node.start();
    for round in 0..25 {
        let (base, key) = (format!("base{round}"), format!("c{round}"));
        daemon.layer(&base, None).await;
        let (one, two) = (daemon.snapshots.clone(), daemon.snapshots.clone());
        let (parent, gone) = (base.clone(), base.clone());
        // The backend checks that the parent is on the disk during its call.
        let child = tokio::spawn(async move { one.prepare(NS, &key, Some(&parent), none()).await });
        let removal = tokio::spawn(async move { two.remove(NS, &gone).await });
        let sweep = daemon.snapshots.sweep(&Default::default()).await.unwrap();
        assert!(sweep.set_aside.is_empty() && sweep.broken.is_empty(), "{sweep:?}");
        match (child.await.unwrap(), removal.await.unwrap()) {
            (Ok(_), Err(error)) => assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}"),
            (Err(error), Ok(())) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
            (child, removal) => panic!("{child:?} and {removal:?}"),
        }
    }
    daemon.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_does_not_stop_the_work() {
    let node = Node::new();
    let daemon = node.start();
    let (entered, inside) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    daemon.backend.amid(move |_| {
        entered.send(()).unwrap();
        released.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
    });
    let snapshots = daemon.snapshots.clone();
    let caller = tokio::spawn(async move { snapshots.prepare(NS, "c", None, none()).await });
    tokio::task::spawn_blocking(move || inside.recv().unwrap()).await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    // The next one waits for the work, not for the caller.
    let snapshots = daemon.snapshots.clone();
    let next = tokio::spawn(async move { snapshots.prepare(NS, "c", None, none()).await });
    release.send(()).unwrap();
    assert_eq!(next.await.unwrap().unwrap_err().kind(), ErrorKind::AlreadyExists);
    daemon.assert_whole().await;
    assert_eq!(daemon.keys().await, ["c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_cross_each_other_do_not_wait_for_ever() {
    let node = Node::new();
    let daemon = node.start();
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let snapshots = daemon.snapshots.clone();
            tokio::spawn(async move {
                let (a, b) = if number % 2 == 0 { ("a", "b") } else { ("b", "a") };
                // Every outcome is fine but a deadlock.
                let _ = snapshots.prepare(NS, a, Some(b), none()).await;
                let _ = snapshots.prepare(NS, a, None, none()).await;
                let _ = snapshots.commit(NS, b, a).await;
                let _ = snapshots.remove(NS, a).await;
                let _ = snapshots.remove(NS, b).await;
            })
        })
        .collect();
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(60), task).await.expect("a deadlock").unwrap();
    }
    daemon.assert_whole().await;
}
