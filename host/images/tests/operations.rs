//! Pulls that are joined, left, given up or cut off.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it is wrong")]

mod support;

use std::time::Duration;

use support::{Gate, NS, Node, committed, reference};
use wharf_registry::Auth as Credentials;
use wharf_testkit::{Auth, Compression, Image, Kind as Form, Layer, Registry, Tree};

fn image(notes: &[&str]) -> Image {
    let layer = |note: &&str| {
        let mut tree = Tree::new();
        tree.file(&format!("files/{note}"), format!("{note}\n").repeat(3000));
        Layer::new(note, &tree, Compression::Gzip).unwrap()
    };
    let layers: Vec<Layer> = notes.iter().map(layer).collect();
    Image::new(Form::Oci, &layers, &serde_json::json!({})).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_join_one_pull_and_leave_it() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(&["one", "two"]);
    registry.add("joined", "1", &made);
    let gate = Gate::before(&registry, &[&made]).await;
    let node = Node::new();
    let opened = node.open_with(|config| config.abandon_after = Duration::from_millis(1)).await;
    let name = reference(&format!("{}/joined:1", registry.address()));
    let mut callers: Vec<_> = (0..5)
        .map(|_| {
            let (images, name) = (opened.images.clone(), name.clone());
            tokio::spawn(async move { images.pull(NS, &name, None, None).await })
        })
        .collect();
    gate.until_waiting(2).await;
    for caller in callers.drain(..3) {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().id, made.id);
    }
    assert_eq!(gate.asked(), 2, "each layer once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_nobody_waits_for_goes_on_for_a_while() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(&["one"]);
    registry.add("left", "1", &made);
    let gate = Gate::before(&registry, &[&made]).await;
    let node = Node::new();
    let opened = node.open_with(|config| config.abandon_after = Duration::from_secs(600)).await;
    let name = reference(&format!("{}/left:1", registry.address()));
    let caller = {
        let (images, name) = (opened.images.clone(), name.clone());
        tokio::spawn(async move { images.pull(NS, &name, None, None).await })
    };
    gate.until_waiting(1).await;
    caller.abort();
    let _ = caller.await;
    gate.open();
    opened.pull(&name.to_string()).await.unwrap();
    assert_eq!(gate.asked(), 1, "the second caller took over what the first had begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_given_up_leaves_nothing_and_can_be_begun_again() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(&["one", "two", "three", "four", "five"]);
    registry.add("given-up", "1", &made);
    let gate = Gate::before(&registry, &[&made]).await;
    let node = Node::new();
    let opened = node.open_with(|config| config.abandon_after = Duration::from_millis(20)).await;
    let name = reference(&format!("{}/given-up:1", registry.address()));
    let caller = {
        let (images, name) = (opened.images.clone(), name.clone());
        tokio::spawn(async move { images.pull(NS, &name, None, None).await })
    };
    gate.until_waiting(3).await;
    assert!(!opened.left().await.is_empty(), "half-written layers are there");
    caller.abort();
    let _ = caller.await;
    opened.until_nothing_is_left().await;
    assert_eq!(gate.asked(), 3, "three at a time");
    gate.open();
    assert_eq!(opened.pull(&name.to_string()).await.unwrap().id, made.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_s_credentials_are_not_joined_but_the_work_is_shared() {
    let registry = Registry::start(Auth::Basic("user".into(), "secret".into())).unwrap();
    let made = image(&["one"]);
    registry.add("private", "1", &made);
    let gate = Gate::before(&registry, &[&made]).await;
    let node = Node::new();
    let opened = node.open().await;
    let name = reference(&format!("{}/private:1", registry.address()));
    let pull = |password: &str| {
        let auth = Credentials { username: "user".into(), password: password.into(), ..Credentials::default() };
        let (images, name) = (opened.images.clone(), name.clone());
        tokio::spawn(async move { images.pull(NS, &name, Some(auth), None).await })
    };
    let right = pull("secret");
    gate.until_waiting(1).await;
    let wrong = pull("guessed").await.unwrap().unwrap_err();
    assert_eq!(wrong.kind(), wharf_error::Kind::Unauthenticated, "{wrong}");
    assert!(!wrong.to_string().contains("guessed"), "{wrong}");
    gate.open();
    right.await.unwrap().unwrap();
    assert!(opened.pull(&name.to_string()).await.is_err(), "an image that is here is not for everybody");
    assert!(pull("secret").await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_waits_for_another_one_s_layer_and_takes_over_when_that_fails() {
    let registry = Registry::start(Auth::Open).unwrap();
    let (first, second) = (image(&["common", "first"]), image(&["common", "second"]));
    registry.add("first", "1", &first);
    registry.add("second", "1", &second);
    let gate = Gate::before(&registry, &[&first, &second]).await;
    let node = Node::new();
    let opened = node.open_with(|config| config.abandon_after = Duration::from_millis(1)).await;
    let pull = |name: &str| {
        let (images, name) = (opened.images.clone(), reference(&format!("{}/{name}:1", registry.address())));
        tokio::spawn(async move { images.pull(NS, &name, None, None).await })
    };
    let one = pull("first");
    gate.until_waiting(2).await;
    let two = pull("second");
    gate.until_waiting(3).await;
    assert_eq!(gate.asked(), 3, "the common layer is asked for once");
    one.abort();
    gate.until_waiting(4).await;
    gate.open();
    let image = two.await.unwrap().unwrap();
    assert_eq!(opened.look(&image, "cat files/common files/second | sort -u").await, "common\nsecond\n");
    assert_eq!(committed(&opened).await.len(), 2, "nothing of the first is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_daemon_left_is_removed_at_the_next_start() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(&["one", "two"]);
    registry.add("kept", "1", &made);
    let node = Node::new();
    let name = format!("{}/kept:1", registry.address());
    {
        let opened = node.open().await;
        opened.pull(&name).await.unwrap();
        // As a kill leaves them: a layer half written, one committed for an image that was never recorded, a file.
        let snapshots = &opened.snapshots;
        snapshots.prepare(NS, "wharf-extract-0123456789abcdef-1", None, [].into()).await.unwrap();
        snapshots.prepare(NS, "wharf-extract-0123456789abcdef-2", None, [].into()).await.unwrap();
        snapshots.commit(NS, "sha256:orphan", "wharf-extract-0123456789abcdef-2").await.unwrap();
        std::fs::write(node.dir.path().join("content/ingest/document-x"), "half").unwrap();
        std::fs::write(node.dir.path().join(format!("content/ingest/blob-{}-9", "a".repeat(64))), "half").unwrap();
        std::fs::write(node.dir.path().join("content/blobs/sha256").join("f".repeat(64)), "orphan").unwrap();
    }
    let opened = node.open().await;
    for _ in 0..1000 {
        if committed(&opened).await.len() == 2 && opened.left().await.len() == 2 + 2 + 1 + 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Two snapshots and their folders, an image, a manifest and a configuration.
    let left = opened.left().await;
    assert_eq!(left.len(), 7, "{left:?}");
    let image = opened.images.get(NS, &name).await.unwrap().unwrap();
    assert_eq!(image.id, made.id);
    assert_eq!(opened.look(&image, "sort -u files/two").await, "two\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_lost_a_layer_or_a_document_is_dropped_and_pulled_again() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(&["one", "two"]);
    registry.add("hurt", "1", &made);
    let name = format!("{}/hurt:1", registry.address());
    let node = Node::new();
    let config = node.dir.path().join("content/blobs/sha256").join(&made.id[7..]);
    for hurt in ["layer", "document"] {
        {
            let opened = node.open().await;
            let image = opened.pull(&name).await.unwrap();
            match hurt {
                "layer" => {
                    // What a power cut does to a layer that was not flushed: the book drops it.
                    opened.snapshots.remove(NS, &image.chain_id).await.unwrap();
                }
                _ => std::fs::write(&config, "torn").unwrap(),
            }
        }
        let opened = node.open().await;
        assert!(opened.images.get(NS, &name).await.unwrap().is_none(), "{hurt}");
        let image = opened.pull(&name).await.unwrap();
        assert_eq!(opened.look(&image, "sort -u files/two").await, "two\n");
    }
}
