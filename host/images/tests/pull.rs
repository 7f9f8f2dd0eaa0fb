//! Pulls from registries on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it is wrong")]

mod support;

use support::{NS, Node, committed, reference};
use tokio::sync::watch;
use wharf_error::Kind;
use wharf_images::{LayerState, Progress};
use wharf_testkit::{
    Auth, Compression, DockerRegistry, Image, Kind as Form, Layer, Node as Entry, Registry, Tree, digest_of, need,
};

fn layer(note: &str, compression: Compression) -> Layer {
    let mut tree = Tree::new();
    tree.file(&format!("files/{note}"), format!("{note}\n").repeat(3000));
    Layer::new(note, &tree, compression).unwrap()
}

fn image(form: Form, notes: &[&str]) -> Image {
    let layers: Vec<Layer> = notes.iter().map(|note| layer(note, Compression::Gzip)).collect();
    Image::new(form, &layers, &serde_json::json!({ "Cmd": ["sh"], "User": "1000" })).unwrap()
}

fn served(registry: &Registry, name: &str, image: &Image) -> String {
    registry.add(name, "1", image);
    format!("{}/{name}:1", registry.address())
}

/// How often a blob was fetched.
fn fetched(registry: &Registry, digest: &str) -> usize {
    registry.seen().iter().filter(|seen| seen.method == "GET" && seen.path.contains(digest)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_image_comes_from_a_real_registry_and_goes_without_a_trace() {
    let Some(registry) = need(DockerRegistry::start()) else { return };
    let node = Node::new();
    let opened = node.open().await;
    for (form, packing) in [
        (Form::Oci, [Compression::None, Compression::Gzip, Compression::Zstd]),
        (Form::OciIndex, [Compression::Zstd; 3]),
        (Form::Docker, [Compression::Gzip; 3]),
        (Form::DockerList, [Compression::Gzip; 3]),
    ] {
        let layers: Vec<Layer> =
            packing.iter().enumerate().map(|(n, packing)| layer(&n.to_string(), *packing)).collect();
        let made = Image::new(form, &layers, &serde_json::json!({ "Cmd": ["sh"], "User": "1000" })).unwrap();
        registry.push("some/image", "1", &made).unwrap();
        let name = format!("{}/some/image:1", registry.address());
        let image = opened.pull(&name).await.unwrap();
        assert_eq!(image.id, made.id);
        assert_eq!(image.names, std::slice::from_ref(&name));
        assert_eq!(image.digests, [format!("{}/some/image@{}", registry.address(), made.target.digest)]);
        assert_eq!(image.target.digest().to_string(), made.target.digest);
        assert_eq!(image.config.config().as_ref().unwrap().user().as_deref(), Some("1000"));
        assert!(image.size > 3 * 4096, "{}", image.size);
        assert_eq!(opened.look(&image, "cat files/0 files/1 files/2 | sort -u").await, "0\n1\n2\n");
        for text in [name.as_str(), &image.digests[0], &image.id, &image.id[7..20]] {
            assert_eq!(opened.images.get(NS, text).await.unwrap().unwrap().id, made.id, "{text}");
        }
        assert!(opened.images.get("other", &name).await.unwrap().is_none(), "another namespace has its own");
        assert_eq!(opened.images.list(NS).await.unwrap().len(), 1);
        opened.images.remove(NS, &image.id[7..20]).await.unwrap();
        assert_eq!(opened.left().await, Vec::<String>::new(), "{form:?}");
        opened.images.remove(NS, &name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_layers_do_to_one_another_comes_out_right() {
    // Entries that need what is below: an implied parent folder, a hard link, whiteouts, an opaque folder.
    let mut base = Tree::new();
    base.dir("tmp").mode(0o1777).owner(7, 8);
    base.file("odd/target", "target\n");
    base.file("odd/removed", "gone\n");
    base.file("odd/opaque/old", "hidden\n");
    base.add("odd/pipe", Entry::Fifo);
    let mut middle = Tree::new();
    middle.bare("tmp/implied", Entry::File(b"in\n".to_vec()));
    middle.whiteout("odd/removed");
    middle.dir("odd/opaque");
    middle.opaque("odd/opaque");
    middle.file("odd/opaque/new", "seen\n");
    let mut top = Tree::new();
    top.bare("odd/link", Entry::Hardlink("odd/target".into()));
    top.bare("tmp/another", Entry::File(b"in\n".to_vec()));
    let layers: Vec<Layer> = [("base", base), ("middle", middle), ("top", top)]
        .iter()
        .map(|(note, tree)| Layer::new(note, tree, Compression::Gzip).unwrap())
        .collect();
    let registry = Registry::start(Auth::Open).unwrap();
    let made = Image::new(Form::Oci, &layers, &serde_json::json!({})).unwrap();
    let name = served(&registry, "odd", &made);
    for ordered in [false, true] {
        let node = Node { ordered, ..Node::new() };
        let opened = node.open().await;
        let image = opened.pull(&name).await.unwrap();
        let script = "stat -c '%a %u:%g' tmp; cat odd/link; [ odd/link -ef odd/target ]; ls odd odd/opaque; ls tmp";
        let seen = opened.look(&image, script).await;
        let expected = "1777 7:8\ntarget\nodd:\nlink\nopaque\npipe\ntarget\n\nodd/opaque:\nnew\nanother\nimplied\n";
        assert_eq!(seen, expected, "ordered: {ordered}");
        opened.images.remove(NS, &name).await.unwrap();
        assert_eq!(opened.left().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_implied_folder_is_mended_also_above_layers_that_were_there() {
    let mut base = Tree::new();
    base.dir("tmp").mode(0o1777);
    let mut top = Tree::new();
    top.bare("tmp/implied", Entry::File(b"in\n".to_vec()));
    let base = Layer::new("base", &base, Compression::Gzip).unwrap();
    let top = Layer::new("top", &top, Compression::Gzip).unwrap();
    let registry = Registry::start(Auth::Open).unwrap();
    let small = Image::new(Form::Oci, std::slice::from_ref(&base), &serde_json::json!({})).unwrap();
    let large = Image::new(Form::Oci, &[base, top], &serde_json::json!({})).unwrap();
    let node = Node::new();
    let opened = node.open().await;
    opened.pull(&served(&registry, "small", &small)).await.unwrap();
    let image = opened.pull(&served(&registry, "large", &large)).await.unwrap();
    assert_eq!(opened.look(&image, "stat -c %a tmp; cat tmp/implied").await, "1777\nin\n");
    assert_eq!(fetched(&registry, &small.blobs[1].digest), 1, "the layer that was there is not fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_of_images_with_common_layers_make_each_layer_once() {
    let registry = Registry::start(Auth::Open).unwrap();
    let notes = ["a", "b", "c", "d", "e", "f"];
    let node = Node::new();
    let opened = node.open().await;
    let mut pulls = tokio::task::JoinSet::new();
    for count in 1..=notes.len() {
        let made = image(Form::Oci, &notes[..count]);
        let name = reference(&served(&registry, &format!("image{count}"), &made));
        let images = opened.images.clone();
        pulls.spawn(async move { images.pull(NS, &name, None, None).await.unwrap() });
    }
    pulls.join_all().await;
    let largest = image(Form::Oci, &notes);
    for layer in &largest.blobs[1..] {
        assert_eq!(fetched(&registry, &layer.digest), 1, "{}", layer.digest);
    }
    assert_eq!(committed(&opened).await.len(), notes.len());
    assert_eq!(opened.images.list(NS).await.unwrap().len(), notes.len());
    opened.images.remove(NS, &format!("{}/image3:1", registry.address())).await.unwrap();
    assert_eq!(committed(&opened).await.len(), notes.len(), "others stand on its layers");
    for image in opened.images.list(NS).await.unwrap() {
        opened.images.remove(NS, &image.id).await.unwrap();
    }
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_refused_by_name_and_nothing_is_left() {
    let registry = Registry::start(Auth::Open).unwrap();
    let node = Node::new();
    let opened = node.open().await;

    let good = image(Form::Docker, &["good one", "good two", "bad"]);
    let name = served(&registry, "corrupt", &good);
    registry.corrupt(&good.blobs[3].digest);
    let error = opened.pull(&name).await.unwrap_err();
    assert!(error.to_string().contains(&good.blobs[3].digest), "{error}");
    assert_eq!(opened.left().await, Vec::<String>::new(), "also not the good layers below it");

    let layers = [layer("fine", Compression::Gzip), layer("liar", Compression::Gzip).with_wrong_diff_id()];
    let liar = Image::new(Form::Oci, &layers, &serde_json::json!({})).unwrap();
    let error = opened.pull(&served(&registry, "liar", &liar)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DataLoss, "{error}");
    let text = error.to_string();
    assert!(text.contains("diffID") && text.contains(&digest_of(b"something else")), "{text}");
    assert_eq!(opened.left().await, Vec::<String>::new());

    let error = opened.pull(&format!("{}/absent:1", registry.address())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    assert!(error.to_string().starts_with("pull 127.0.0.1:"), "{error}");
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_costs_only_what_was_lost() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(Form::Oci, &["one", "two"]);
    let name = served(&registry, "breaks", &made);
    let layer = &made.blobs[2];
    registry.break_blob(&layer.digest, layer.bytes.len() / 2, 2);
    let node = Node::new();
    let opened = node.open().await;
    let image = opened.pull(&name).await.unwrap();
    assert_eq!(opened.look(&image, "sort -u files/two").await, "two\n");
    assert!(registry.seen().iter().any(|seen| seen.range.is_some()), "{:?}", registry.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moved_takes_its_name_along() {
    let registry = Registry::start(Auth::Open).unwrap();
    let (old, new) = (image(Form::Oci, &["base", "old"]), image(Form::Oci, &["base", "new"]));
    let name = served(&registry, "moves", &old);
    let node = Node::new();
    let opened = node.open().await;
    opened.pull(&name).await.unwrap();
    let before = registry.seen().len();
    let same = opened.pull(&name).await.unwrap();
    assert_eq!(same.id, old.id);
    let again = registry.seen().split_off(before);
    assert!(again.iter().all(|seen| seen.method == "HEAD"), "nothing is fetched that is here: {again:?}");

    registry.add("moves", "1", &new);
    let moved = opened.pull(&name).await.unwrap();
    assert_eq!((moved.id.as_str(), moved.names.as_slice()), (new.id.as_str(), [name.clone()].as_slice()));
    let left_behind = opened.images.get(NS, &old.id).await.unwrap().unwrap();
    assert!(left_behind.names.is_empty());
    assert_eq!(left_behind.digests.len(), 1, "it keeps the name that never moves");
    assert_eq!(committed(&opened).await.len(), 3);
    opened.images.remove(NS, &old.id).await.unwrap();
    assert_eq!(committed(&opened).await.len(), 2);
    opened.images.remove(NS, &name).await.unwrap();
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_image_with_many_names_goes_with_all_of_them() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(Form::Oci, &["one"]);
    let names = [served(&registry, "x/a", &made), served(&registry, "x/b", &made)];
    let node = Node::new();
    let opened = node.open().await;
    for name in &names {
        opened.pull(name).await.unwrap();
    }
    let by_digest = format!("{}/x/c@{}", registry.address(), made.target.digest);
    registry.add("x/c", "1", &made);
    let image = opened.pull(&by_digest).await.unwrap();
    assert_eq!(image.names, names);
    assert_eq!(image.digests.len(), 3);
    assert_eq!(opened.images.list(NS).await.unwrap().len(), 1);
    opened.images.remove(NS, &names[0]).await.unwrap();
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_below_a_container_stay_until_it_is_gone() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(Form::Oci, &["one", "two"]);
    let node = Node::new();
    let opened = node.open().await;
    let image = opened.pull(&served(&registry, "used", &made)).await.unwrap();
    opened.snapshots.prepare(NS, "container", Some(&image.chain_id), [].into()).await.unwrap();
    opened.images.remove(NS, &image.id).await.unwrap();
    assert!(opened.images.list(NS).await.unwrap().is_empty());
    assert_eq!(committed(&opened).await.len(), 3);
    opened.snapshots.remove(NS, "container").await.unwrap();
    opened.images.collect(NS).await.unwrap();
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_to_the_end() {
    let registry = Registry::start(Auth::Open).unwrap();
    let made = image(Form::Oci, &["one", "two"]);
    let node = Node::new();
    let opened = node.open().await;
    let (sender, receiver) = watch::channel(Progress::default());
    let name = reference(&served(&registry, "told", &made));
    let ((), pulled) = tokio::join!(
        async {
            let mut receiver = receiver.clone();
            receiver.wait_for(|progress| progress.layers.len() == 2).await.unwrap();
        },
        opened.images.pull(NS, &name, None, Some(sender)),
    );
    pulled.unwrap();
    let last = receiver.borrow().clone();
    let total: u64 = made.blobs[1..].iter().map(|blob| blob.bytes.len() as u64).sum();
    assert_eq!(last.bytes().1, total);
    assert_eq!(last.layers[0].digest, made.blobs[1].digest);
    assert_eq!(last.bytes().0, total);
    assert!(last.layers.iter().all(|layer| layer.state == LayerState::Done), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_layers_and_none() {
    let registry = Registry::start(Auth::Open).unwrap();
    let notes: Vec<String> = (0..127).map(|n| n.to_string()).collect();
    let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
    let node = Node::new();
    let opened = node.open().await;
    let many = opened.pull(&served(&registry, "many", &image(Form::Oci, &notes))).await.unwrap();
    assert_eq!(committed(&opened).await.len(), 127);
    let empty = opened.pull(&served(&registry, "empty", &image(Form::Oci, &[]))).await.unwrap();
    assert_eq!(empty.chain_id, "");
    opened.images.remove(NS, &many.id).await.unwrap();
    opened.images.remove(NS, &empty.id).await.unwrap();
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_system_of_images_is_measured() {
    let registry = Registry::start(Auth::Open).unwrap();
    let node = Node::new();
    let opened = node.open().await;
    let before = opened.images.fs_info().await.unwrap();
    let image = opened.pull(&served(&registry, "measured", &image(Form::Oci, &["one"]))).await.unwrap();
    let after = opened.images.fs_info().await.unwrap();
    assert!(after.used_bytes >= before.used_bytes + 4096 && after.inodes >= before.inodes + 3, "{after:?}");
    assert_eq!(after.path, node.dir.path());
    opened.images.remove(NS, &image.id).await.unwrap();
    assert_eq!(opened.images.fs_info().await.unwrap().used_bytes, before.used_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_image_is_said_to_be_pinned() {
    let registry = Registry::start(Auth::Open).unwrap();
    let node = Node::new();
    let (kept, other) =
        (served(&registry, "kept", &image(Form::Oci, &["a"])), format!("{}/other:1", registry.address()));
    served(&registry, "other", &image(Form::Oci, &["b"]));
    let opened = node.open_with(|config| assert!(config.pinned.insert(kept.clone()))).await;
    assert!(opened.pull(&kept).await.unwrap().pinned);
    assert!(!opened.pull(&other).await.unwrap().pinned);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_small_files_come_out_whole() {
    let mut tar = tar::Builder::new(Vec::new());
    for n in 0..50_000 {
        let mut header = tar::Header::new_ustar();
        let text = format!("{n}\n");
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("small/{}/{n}", n / 500), text.as_bytes()).unwrap();
    }
    let layer = Layer::from_archive("small", tar.into_inner().unwrap(), Compression::Gzip).unwrap();
    let made = Image::new(Form::Oci, &[layer], &serde_json::json!({})).unwrap();
    let registry = Registry::start(Auth::Open).unwrap();
    let node = Node::new();
    let opened = node.open().await;
    let image = opened.pull(&served(&registry, "small", &made)).await.unwrap();
    let seen = opened.look(&image, "find small -type f | wc -l; cat small/99/49999; find small -type d | wc -l").await;
    assert_eq!(seen, "50000\n49999\n101\n");
    opened.images.remove(NS, &image.id).await.unwrap();
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_the_registry_does_not_distribute_is_refused_by_name() {
    let registry = Registry::start(Auth::Open).unwrap();
    let mut foreign = image(Form::Docker, &["one"]);
    let text = String::from_utf8(foreign.target.bytes.clone()).unwrap();
    let text = text.replace("rootfs.diff.tar.gzip", "rootfs.foreign.diff.tar.gzip");
    foreign.target = wharf_testkit::Blob::new(&foreign.target.media_type, text.into_bytes());
    let node = Node::new();
    let opened = node.open().await;
    let error = opened.pull(&served(&registry, "foreign", &foreign)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("does not distribute"), "{error}");
    assert!(fetched(&registry, &foreign.blobs[1].digest) == 0, "no byte of it is asked for");
    assert_eq!(opened.left().await, Vec::<String>::new());
}

/// The same image with another text in its manifest or index.
fn rewritten(mut image: Image, from: &str, to: &str) -> Image {
    let text = String::from_utf8(image.target.bytes.clone()).unwrap();
    assert!(text.contains(from), "{text}");
    image.target = wharf_testkit::Blob::new(&image.target.media_type, text.replace(from, to).into_bytes());
    image
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_an_old_registry_gave_another_type_is_one() {
    let registry = Registry::start(Auth::Open).unwrap();
    let node = Node::new();
    let opened = node.open().await;
    for (number, kind) in ["application/octet-stream", "application/json", "text/html", ""].into_iter().enumerate() {
        let image = rewritten(image(Form::Docker, &["one"]), "application/vnd.docker.container.image.v1+json", kind);
        let pulled = opened.pull(&served(&registry, &format!("old-{number}"), &image)).await;
        assert_eq!(pulled.unwrap().id, image.id, "{kind:?}");
    }
    let chart = "application/vnd.cncf.helm.config.v1+json";
    let chart = rewritten(image(Form::Oci, &["one"]), "application/vnd.oci.image.config.v1+json", chart);
    let error = opened.pull(&served(&registry, "chart", &chart)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_as_long_as_its_index_says() {
    let registry = Registry::start(Auth::Open).unwrap();
    let node = Node::new();
    let opened = node.open().await;
    for form in [Form::OciIndex, Form::DockerList] {
        let image = image(form, &["one"]);
        let size = image.manifests[1].bytes.len();
        let lying = rewritten(image, &format!("\"size\":{size}"), "\"size\":5");
        let error = opened.pull(&served(&registry, "lying", &lying)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::DataLoss, "{error}");
        assert!(error.to_string().contains(&format!("{size} bytes, its descriptor says 5")), "{error}");
    }
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_addressed_by_sha512_is_pulled_imported_and_removed() {
    let registry = Registry::start(Auth::Open).unwrap();
    let mut tree = Tree::new();
    tree.file("file", "by another name");
    let made = Image::new(Form::Oci, &[Layer::new("one", &tree, Compression::Gzip).unwrap()], &serde_json::json!({}));
    let made = made.unwrap().by_sha512();
    registry.add("sha512", "1", &made);
    let node = Node::new();
    let opened = node.open().await;
    let (by_tag, by_digest) =
        (format!("{}/sha512:1", registry.address()), format!("{}/sha512@{}", registry.address(), made.target.digest));
    for name in [&by_tag, &by_digest] {
        let image = opened.pull(name).await.unwrap();
        assert_eq!((&image.id, image.digests.as_slice()), (&made.id, &[by_digest.clone()][..]));
        assert_eq!(opened.look(&image, "cat file").await, "by another name");
        opened.images.collect(NS).await.unwrap();
        for called in [name.as_str(), &made.id, &made.id[..20], &made.id[7..20]] {
            assert!(opened.images.get(NS, called).await.unwrap().is_some(), "{called}");
        }
        opened.images.remove(NS, &made.id).await.unwrap();
        assert_eq!(opened.left().await, Vec::<String>::new());
    }
    let archive = node.dir.path().join("oci.tar");
    made.write_oci_archive(&archive, "images.example/sha512:1").unwrap();
    assert_eq!(opened.images.import(NS, &archive, None).await.unwrap()[0].id, made.id);

    registry.corrupt(&made.blobs[1].digest);
    opened.images.remove(NS, &made.id).await.unwrap();
    let error = opened.pull(&by_tag).await.unwrap_err();
    assert_eq!(error.kind(), wharf_error::Kind::DataLoss, "{error}");
}
