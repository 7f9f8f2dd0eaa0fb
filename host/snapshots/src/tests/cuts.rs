//! A daemon that dies between any two writes of a change, and in the middle of the plugin's effect.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use wharf_error::Result;

use super::{Daemon, NS, Node, none};
use crate::{
    Kind,
    probe::{NoProbe, Point, Probe},
};

/// Where it dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    At(Point),
    MidEffect,
}

const CUTS: [Cut; 5] = [
    Cut::At(Point::BeforeIntent),
    Cut::At(Point::AfterIntent),
    Cut::MidEffect,
    Cut::At(Point::AfterCall),
    Cut::At(Point::AfterFinal),
];

/// Unwinds through the change at one point, once it is armed: nothing of the change runs after it.
struct Blade {
    cut: Cut,
    armed: AtomicBool,
}

impl Probe for Blade {
    fn reached(&self, point: Point) {
        if self.cut == Cut::At(point) && self.armed.swap(false, Ordering::SeqCst) {
            std::panic::resume_unwind(Box::new("cut"));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Prepare,
    View,
    Commit,
    CommitOnto,
    Remove,
    RemoveCommitted,
}

impl Change {
    async fn run(self, daemon: &Daemon) -> Result<()> {
        let snapshots = &daemon.snapshots;
        match self {
            Self::Prepare => snapshots.prepare(NS, "new", Some("base"), none()).await.map(drop),
            Self::View => snapshots.view(NS, "new", Some("base"), none()).await.map(drop),
            Self::Commit => snapshots.commit(NS, "done", "work").await,
            Self::CommitOnto => snapshots.commit_onto(NS, "done", "work", Some("other")).await,
            Self::Remove => snapshots.remove(NS, "work").await,
            Self::RemoveCommitted => snapshots.remove(NS, "other").await,
        }
    }

    /// Whether it is done for a daemon that starts after the cut.
    fn happened(self, cut: Cut) -> bool {
        match self {
            Self::Prepare | Self::View => cut == Cut::At(Point::AfterFinal),
            _ => cut != Cut::At(Point::BeforeIntent),
        }
    }

    fn keys(self, happened: bool) -> &'static [&'static str] {
        match (self, happened) {
            (_, false) => &["base", "other", "work"],
            (Self::Prepare | Self::View, true) => &["base", "new", "other", "work"],
            (Self::Commit | Self::CommitOnto, true) => &["base", "done", "other"],
            (Self::Remove, true) => &["base", "other"],
            (Self::RemoveCommitted, true) => &["base", "work"],
        }
    }
}

async fn cut_and_start_again(change: Change, cut: Cut) {
    let at = format!("{change:?} cut at {cut:?}");
    let node = Node::new();
    let blade = Arc::new(Blade { cut, armed: AtomicBool::new(false) });
    let daemon = node.start_with(node.backend(), blade.clone());
    daemon.layer("base", None).await;
    daemon.layer("other", None).await;
    daemon.snapshots.prepare(NS, "work", Some("base"), none()).await.unwrap();
    blade.armed.store(true, Ordering::SeqCst);
    if cut == Cut::MidEffect {
        let blade = blade.clone();
        daemon.backend.amid(move |_| {
            if blade.armed.swap(false, Ordering::SeqCst) {
                std::panic::resume_unwind(Box::new("cut"));
            }
        });
    }
    let error = change.run(&daemon).await.expect_err(&at);
    assert!(error.to_string().contains("ended early"), "{at}: {error}");
    assert!(!blade.armed.load(Ordering::SeqCst), "{at}: never came there");
    drop(daemon);

    let daemon = node.start_with(node.backend(), Arc::new(NoProbe));
    let happened = change.happened(cut);
    assert_eq!(daemon.keys().await, change.keys(happened), "{at}");
    daemon.assert_whole().await;
    if matches!(change, Change::CommitOnto) && happened {
        assert_eq!(daemon.snapshots.stat(NS, "done").await.unwrap().parent.as_deref(), Some("other"), "{at}");
        assert_eq!(daemon.snapshots.stat(NS, "done").await.unwrap().kind, Kind::Committed, "{at}");
    }
    // What did not happen can be done now, and a number never comes twice.
    if !happened {
        change.run(&daemon).await.expect(&at);
        assert_eq!(daemon.keys().await, change.keys(true), "{at}");
        daemon.assert_whole().await;
    }
    let ids: Vec<u64> = daemon.snapshots.list(NS).await.unwrap().into_iter().map(|info| info.id).collect();
    daemon.snapshots.prepare(NS, "after", None, none()).await.unwrap();
    let newest = daemon.snapshots.stat(NS, "after").await.unwrap().id;
    assert!(newest > 3 && ids.iter().all(|id| *id < newest), "{at}: {newest} after {ids:?}");
}

#[tokio::test]
async fn every_change_is_whole_wherever_it_is_cut() {
    use Change::{Commit, CommitOnto, Prepare, Remove, RemoveCommitted, View};
    for change in [Prepare, View, Commit, CommitOnto, Remove, RemoveCommitted] {
        for cut in CUTS {
            cut_and_start_again(change, cut).await;
        }
    }
}

#[tokio::test]
async fn a_start_that_is_cut_itself_is_repeated() {
    for cut in [Point::AfterCall, Point::AfterFinal] {
        let node = Node::new();
        let blade = Arc::new(Blade { cut: Cut::At(Point::AfterIntent), armed: AtomicBool::new(false) });
        let daemon = node.start_with(node.backend(), blade.clone());
        daemon.layer("base", None).await;
        blade.armed.store(true, Ordering::SeqCst);
        daemon.snapshots.prepare(NS, "new", Some("base"), none()).await.unwrap_err();
        drop(daemon);

        let blade = Arc::new(Blade { cut: Cut::At(cut), armed: AtomicBool::new(true) });
        let (store, backend) = (node.store(), Arc::new(node.backend()));
        let start = || crate::Snapshots::with_probe(store.clone(), backend, blade);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(start)).is_err());
        drop(store);
        let daemon = node.start();
        assert_eq!(daemon.keys().await, ["base"]);
        daemon.assert_whole().await;
    }
}
