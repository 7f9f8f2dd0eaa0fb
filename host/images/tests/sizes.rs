//! Images that are larger than a node takes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it is wrong")]

mod support;

use support::{Node, Opened};
use wharf_error::Kind;
use wharf_testkit::{Auth, Compression, Image, Kind as Form, Layer, Registry, Tree};

/// A layer of one file of zeroes, or of another name for that of the layer below.
fn layer(name: &str, bytes: usize, packing: Compression) -> Layer {
    let mut tree = Tree::new();
    tree.file(name, vec![0; bytes]);
    Layer::new(name, &tree, packing).unwrap()
}

fn image(layers: &[Layer]) -> Image {
    Image::new(Form::Oci, layers, &serde_json::json!({})).unwrap()
}

async fn node(node: &Node, layer: u64, image: u64) -> Opened {
    node.open_with(|config| (config.max_layer_bytes, config.max_image_bytes) = (layer, image)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_that_it_is_too_large_is_not_asked_for() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(&[layer("one", 1 << 20, Compression::None), layer("two", 1 << 20, Compression::None)]);
    registry.add("large", "1", &made);
    let folders = Node::new();
    for (most, key, named) in [
        ((1 << 20, 1 << 30), "max_layer_bytes", made.blobs[1].digest.as_str()),
        ((3 << 19, 3 << 19), "max_image_bytes", "its layers have"),
    ] {
        let opened = node(&folders, most.0, most.1).await;
        let error = opened.pull(&format!("{}/large:1", registry.address())).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Exhausted, "{text}");
        assert!(text.contains(key) && text.contains(named), "{text}");
        opened.until_nothing_is_left().await;
    }
    let layers = |path: &str| made.blobs[1..].iter().any(|layer| path.contains(&layer.digest));
    assert!(!registry.seen().iter().any(|seen| layers(&seen.path)), "{:?}", registry.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_turns_out_to_be_too_large_is_given_up_where_it_does() {
    let registry = Registry::start(Auth::Open).unwrap();
    let bomb = image(&[layer("bomb", 32 << 20, Compression::Gzip)]);
    // Each within the bound, not both.
    let pair = image(&[layer("one", 3 << 20, Compression::Gzip), layer("two", 3 << 20, Compression::Zstd)]);
    registry.add("bomb", "1", &bomb);
    registry.add("pair", "1", &pair);
    for ordered in [false, true] {
        let folders = Node { ordered, ..Node::new() };
        let opened = node(&folders, 4 << 20, 5 << 20).await;
        for (name, key) in [("bomb", "max_layer_bytes"), ("pair", "max_image_bytes")] {
            let error = opened.pull(&format!("{}/{name}:1", registry.address())).await.unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), Kind::Exhausted, "{text}");
            assert!(text.contains(key) && text.contains("sha256:"), "{text}");
            opened.until_nothing_is_left().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_is_written_twice_counts_once() {
    let registry = Registry::start(Auth::Open).unwrap();
    let mut tree = Tree::new();
    tree.file("again", vec![0; 1 << 20]);
    // It cannot be written before the layer below is there.
    tree.hardlink("other", "below");
    let layers = [layer("below", 1 << 20, Compression::None), Layer::new("again", &tree, Compression::None).unwrap()];
    let sum = layers.iter().map(|layer| layer.packed().len() as u64).sum();
    let made = image(&layers);
    registry.add("twice", "1", &made);
    let folders = Node::new();
    let opened = node(&folders, sum, sum).await;
    assert_eq!(opened.pull(&format!("{}/twice:1", registry.address())).await.unwrap().id, made.id);
    let opened = {
        drop(opened);
        node(&Node::new(), sum, sum - 1).await
    };
    assert_eq!(opened.pull(&format!("{}/twice:1", registry.address())).await.unwrap_err().kind(), Kind::Exhausted);
}
