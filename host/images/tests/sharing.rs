//! Each byte is fetched once: by however many layers and pulls, over however many connections and tries.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it is wrong")]

mod support;

use std::{path::PathBuf, time::Duration};

use support::{Gate, NS, Node, Opened, committed, reference};
use wharf_testkit::{Auth, Compression, Image, Kind as Form, Layer, Registry, Seen, Tree};

const HOUR: Duration = Duration::from_secs(3600);

fn layer(note: &str) -> Layer {
    let mut tree = Tree::new();
    tree.file(&format!("files/{note}"), format!("{note}\n").repeat(3000));
    Layer::new(note, &tree, Compression::Gzip).unwrap()
}

/// A layer of so many bytes that cannot be packed.
fn large(bytes: usize) -> Layer {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let mut tree = Tree::new();
    tree.file("noise", noise.take(bytes).collect::<Vec<u8>>());
    Layer::new("large", &tree, Compression::None).unwrap()
}

fn image(layers: &[Layer]) -> Image {
    Image::new(Form::Oci, layers, &serde_json::json!({})).unwrap()
}

fn asked(registry: &Registry, digest: &str) -> Vec<Seen> {
    registry.seen().into_iter().filter(|seen| seen.method == "GET" && seen.path.contains(digest)).collect()
}

fn ingest(node: &Node) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(node.dir.path().join("content/ingest")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// What is not needed any more goes on a thread of its own.
async fn until_ingest_has(node: &Node, count: usize) {
    for _ in 0..1000 {
        if ingest(node).len() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{count} files were expected: {:?}", ingest(node));
}

fn pull(
    opened: &Opened,
    registry: &Registry,
    name: &str,
) -> tokio::task::JoinHandle<wharf_error::Result<wharf_images::Image>> {
    let (images, name) = (opened.images.clone(), reference(&format!("{}/{name}:1", registry.address())));
    tokio::spawn(async move { images.pull(NS, &name, None, None).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_blob_on_different_layers_is_fetched_once() {
    let registry = Registry::start(Auth::Open).unwrap();
    let (top, twice) = (layer("top"), layer("twice"));
    let one = image(&[layer("one"), top.clone()]);
    let two = image(&[layer("two"), top.clone()]);
    let doubled = image(&[twice.clone(), layer("between"), twice.clone()]);
    for (name, image) in [("one", &one), ("two", &two), ("doubled", &doubled)] {
        registry.add(name, "1", image);
    }
    let gate = Gate::before(&registry, &[&one, &two, &doubled]).await;
    for ordered in [false, true] {
        let node = Node { ordered, ..Node::new() };
        let opened = node.open().await;
        gate.close();
        let before = gate.asked();
        let pulls = [pull(&opened, &registry, "one"), pull(&opened, &registry, "two")];
        // Two lower layers, and the one on top of both: the other pull waits for it.
        gate.until_waiting(before + 3).await;
        gate.open();
        for pull in pulls {
            let image = pull.await.unwrap().unwrap();
            assert_eq!(opened.look(&image, "sort -u files/top").await, "top\n");
        }
        assert_eq!(gate.asked(), before + 3, "ordered: {ordered}");
        let image = pull(&opened, &registry, "doubled").await.unwrap().unwrap();
        assert_eq!(opened.look(&image, "cat files/* | sort -u").await, "between\ntwice\n");
        assert_eq!(gate.asked(), before + 5, "one image has a blob twice; ordered: {ordered}");
        assert_eq!(committed(&opened).await.len(), 4 + 3);
        until_ingest_has(&node, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_layer_comes_over_several_connections_where_the_host_can() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(&[large(70 << 20)]);
    registry.add("large", "1", &made);
    let (digest, size) = (made.blobs[1].digest.clone(), made.blobs[1].bytes.len());
    let node = Node::new();
    let opened = node.open().await;
    let image = pull(&opened, &registry, "large").await.unwrap().unwrap();
    assert_eq!(image.id, made.id, "and the diffID is the right one");
    let ranges: Vec<String> = asked(&registry, &digest).into_iter().filter_map(|seen| seen.range).collect();
    assert_eq!(ranges.len(), size.div_ceil(16 << 20), "{ranges:?}");
    assert!(registry.most_at_once() > 1, "some at the same time");
    until_ingest_has(&node, 0).await;
    opened.images.remove(NS, &image.id).await.unwrap();

    registry.refuse_ranges();
    let before = asked(&registry, &digest).len();
    pull(&opened, &registry, "large").await.unwrap().unwrap();
    assert_eq!(asked(&registry, &digest).len(), before + 1, "a host that knows no ranges is asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_pull_had_got_is_kept_for_the_next_try_and_then_goes() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(&[layer("good"), large(4 << 20)]);
    registry.add("fails", "1", &made);
    let (good, bad) = (made.blobs[1].digest.clone(), made.blobs[2].digest.clone());
    registry.break_blob(&bad, 1 << 20, 1);
    registry.lose_blob_after(&bad, 1);
    let node = Node::new();
    let opened = node.open_with(|config| config.resume_window = HOUR).await;
    let error = pull(&opened, &registry, "fails").await.unwrap().unwrap_err();
    assert!(error.to_string().contains(&bad), "{error}");
    assert!(opened.images.list(NS).await.unwrap().is_empty());
    // The good layer is committed or, where the other one failed first, its bytes are there.
    let kept = committed(&opened).await.len();
    until_ingest_has(&node, 2 - kept).await;
    opened.images.collect(NS).await.unwrap();
    assert_eq!(
        (committed(&opened).await.len(), ingest(&node).len()),
        (kept, 2 - kept),
        "a collection leaves them alone"
    );

    // The daemon is killed meanwhile.
    drop(opened);
    let opened = node.open_with(|config| config.resume_window = HOUR).await;
    registry.find_blob(&bad);
    let image = pull(&opened, &registry, "fails").await.unwrap().unwrap();
    assert_eq!(image.id, made.id);
    assert_eq!(asked(&registry, &good).len(), 1);
    let ranges: Vec<_> = asked(&registry, &bad).into_iter().map(|seen| seen.range).collect();
    let last = ranges.last().cloned().flatten().unwrap();
    let from: u64 = last.trim_start_matches("bytes=").split('-').next().unwrap().parse().unwrap();
    assert!(from > 900_000, "it goes on where it broke: {ranges:?}");
    until_ingest_has(&node, 0).await;
    opened.images.remove(NS, &image.id).await.unwrap();

    registry.break_blob(&bad, 1 << 20, 1);
    registry.lose_blob_after(&bad, 1);
    drop(opened);
    let opened = node.open_with(|config| config.resume_window = Duration::from_millis(300)).await;
    pull(&opened, &registry, "fails").await.unwrap().unwrap_err();
    opened.until_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_an_earlier_try_left_bad_are_fetched_anew() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(&[large(1 << 20)]);
    registry.add("bad", "1", &made);
    let blob = &made.blobs[1];
    let node = Node::new();
    let opened = node.open_with(|config| config.resume_window = HOUR).await;
    let file = format!("blob-{}-{}", blob.digest.trim_start_matches("sha256:"), blob.bytes.len());
    let left = node.dir.path().join("content/ingest").join(file);
    std::fs::write(&left, vec![7; 500_000]).unwrap();
    assert_eq!(pull(&opened, &registry, "bad").await.unwrap().unwrap().id, made.id);
    let ranges: Vec<_> = asked(&registry, &blob.digest).into_iter().map(|seen| seen.range).collect();
    assert_eq!(ranges, [Some("bytes=500000-".to_owned()), None]);

    // A hole is a part that another connection did not bring.
    opened.images.remove(NS, &made.id).await.unwrap();
    until_ingest_has(&node, 0).await;
    let sparse = std::fs::File::create(&left).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &blob.bytes[..300_000], 0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &blob.bytes[800_000..900_000], 800_000).unwrap();
    pull(&opened, &registry, "bad").await.unwrap().unwrap();
    let last = asked(&registry, &blob.digest).pop().unwrap().range.unwrap();
    let from: usize = last.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    assert!((200_000..=300_000).contains(&from), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_written_layers_and_downloads_that_nobody_is_at_go_without_a_restart() {
    let node = Node::new();
    let opened = node.open().await;
    opened.images.collect(NS).await.unwrap();
    opened.snapshots.prepare(NS, "wharf-extract-0-1", None, [].into()).await.unwrap();
    opened.snapshots.prepare(NS, "extract-of-another-client", None, [].into()).await.unwrap();
    std::fs::write(node.dir.path().join(format!("content/ingest/blob-{}-9", "a".repeat(64))), "half").unwrap();
    opened.images.collect(NS).await.unwrap();
    assert_eq!(committed(&opened).await, ["extract-of-another-client"], "what is not ours stays");
    assert!(ingest(&node).is_empty());
}
