//! Images from archives.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it is wrong")]

mod support;

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use support::{NS, Node, unpack_tar};
use wharf_error::Kind;
use wharf_testkit::{Compression, Image, Kind as Form, Layer, Tree};

fn image(form: Form, packing: Compression) -> Image {
    let layer = |note: &str| {
        let mut tree = Tree::new();
        tree.file(&format!("files/{note}"), format!("{note}\n").repeat(3000));
        Layer::new(note, &tree, packing).unwrap()
    };
    Image::new(form, &[layer("one"), layer("two")], &serde_json::json!({ "Cmd": ["sh"] })).unwrap()
}

fn gzipped(archive: &Path) -> std::path::PathBuf {
    let path = archive.with_extension("tar.gz");
    let mut out = flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
    out.write_all(&fs::read(archive).unwrap()).unwrap();
    out.finish().unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_archive_gives_the_same_image() {
    let node = Node::new();
    let opened = node.open().await;
    let files = tempfile::tempdir().unwrap();
    let made = image(Form::OciIndex, Compression::None);
    let (oci, docker, folder) =
        (files.path().join("oci.tar"), files.path().join("docker.tar"), files.path().join("folder"));
    made.write_oci_archive(&oci, "images.example/oci:1").unwrap();
    made.write_docker_archive(&docker, "docker-name").unwrap();
    unpack_tar(&oci, &folder);
    let (oci_gz, docker_gz) = (gzipped(&oci), gzipped(&docker));
    for (path, name, has_digest) in [
        (&oci, "images.example/oci:1", true),
        (&oci_gz, "images.example/oci:1", true),
        (&folder, "images.example/oci:1", true),
        (&docker, "docker.io/library/docker-name:latest", false),
        (&docker_gz, "docker.io/library/docker-name:latest", false),
    ] {
        let imported = opened.images.import(NS, path, None).await.unwrap();
        let [image] = imported.as_slice() else { panic!("{} images", imported.len()) };
        assert_eq!(image.names, [name], "{}", path.display());
        assert_eq!(image.id, made.id);
        assert_eq!(!image.digests.is_empty(), has_digest);
        assert_eq!(opened.look(image, "cat files/one files/two | sort -u").await, "one\ntwo\n");
        opened.images.remove(NS, name).await.unwrap();
        assert_eq!(opened.left().await, Vec::<String>::new(), "{}", path.display());
    }
    let imported = opened.images.import(NS, &oci, Some("given:2")).await.unwrap();
    assert_eq!(imported[0].names, ["docker.io/library/given:2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_archive_of_images_or_a_damaged_one_leaves_nothing() {
    let node = Node::new();
    let opened = node.open().await;
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("oci.tar");
    let made = image(Form::Oci, Compression::Gzip);
    made.write_oci_archive(&path, "images.example/oci:1").unwrap();

    for (bad, part) in [
        (Path::new("/etc/passwd"), ""),
        (Path::new("/dev/null"), "neither a file nor a folder"),
        (files.path(), "neither an OCI layout nor a docker save archive"),
        (Path::new("/does/not/exist"), "No such file"),
    ] {
        let error = opened.images.import(NS, bad, None).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }

    let layer = &made.blobs[2];
    let folder = files.path().join("damaged");
    unpack_tar(&path, &folder);
    let blob = folder.join("blobs").join(layer.digest.replace(':', "/"));
    let mut bytes = layer.bytes.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let error = opened.images.import(NS, &folder, None).await.unwrap_err();
    assert!(error.to_string().contains(&layer.digest), "{error}");
    assert_eq!(opened.left().await, Vec::<String>::new());

    fs::remove_file(&blob).unwrap();
    let error = opened.images.import(NS, &folder, None).await.unwrap_err();
    assert!(error.to_string().contains("has no file blobs/sha256/"), "{error}");
    assert_eq!(opened.left().await, Vec::<String>::new());

    let config = folder.join("blobs").join(made.id.replace(':', "/"));
    fs::write(config, "{}").unwrap();
    let error = opened.images.import(NS, &folder, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DataLoss, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_needs_a_name_and_a_platform_of_this_node() {
    let node = Node::new();
    let opened = node.open().await;
    let files = tempfile::tempdir().unwrap();
    let made = image(Form::OciIndex, Compression::Gzip);
    let path = files.path().join("unnamed.tar");
    // What skopeo writes for `oci:folder:tag`: a bare tag is no name.
    made.write_oci_archive(&path, "1").unwrap();
    let folder = files.path().join("folder");
    unpack_tar(&path, &folder);
    let index = fs::read_to_string(folder.join("index.json")).unwrap();
    fs::write(folder.join("index.json"), index.replace("io.containerd.image.name", "other")).unwrap();
    let error = opened.images.import(NS, &folder, None).await.unwrap_err();
    assert!(error.to_string().contains("no name for the image"), "{error}");
    assert_eq!(opened.images.import(NS, &folder, Some("named:1")).await.unwrap().len(), 1);

    let foreign = &made.manifests[0];
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [foreign.descriptor()] });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    let error = opened.images.import(NS, &folder, Some("named:2")).await.unwrap_err();
    assert!(error.to_string().contains("linux/s390x"), "{error}");
    assert!(opened.images.import(NS, &folder, Some("named@sha256:12")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_images_all_are_recorded_or_none() {
    let node = Node::new();
    let opened = node.open().await;
    let files = tempfile::tempdir().unwrap();
    let folder = files.path().join("folder");
    let made: Vec<Image> = [Compression::None, Compression::Gzip]
        .map(|packing| {
            let mut tree = Tree::new();
            tree.file("which", format!("{packing:?}"));
            let layer = Layer::new("which", &tree, packing).unwrap();
            Image::new(Form::Oci, &[layer], &serde_json::json!({})).unwrap()
        })
        .into();
    let mut entries = Vec::new();
    for (image, name) in made.iter().zip(["images.example/first:1", "images.example/second:1"]) {
        let archive = files.path().join("one.tar");
        image.write_oci_archive(&archive, name).unwrap();
        unpack_tar(&archive, &folder);
        let index: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
        entries.push(index["manifests"][0].clone());
    }
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": entries });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();

    // Where the second image's configuration is to be kept, there is something that no file can replace.
    let in_the_way = node.dir.path().join("content/blobs").join(made[1].id.replace(':', "/"));
    fs::create_dir(&in_the_way).unwrap();
    let error = opened.images.import(NS, &folder, None).await.unwrap_err();
    assert!(error.to_string().contains(&format!("content: write {}", made[1].id)), "{error}");
    assert!(opened.images.list(NS).await.unwrap().is_empty());

    fs::remove_dir(&in_the_way).unwrap();
    let imported = opened.images.import(NS, &folder, None).await.unwrap();
    let names: Vec<_> = imported.iter().map(|image| (image.id.as_str(), image.names[0].as_str())).collect();
    let [first, second] = [&made[0].id, &made[1].id];
    assert_eq!(names, [(first.as_str(), "images.example/first:1"), (second.as_str(), "images.example/second:1")]);
    for name in ["images.example/first:1", "images.example/second:1"] {
        opened.images.remove(NS, name).await.unwrap();
    }
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_s_documents_lead_nowhere_else() {
    let node = Node::new();
    let opened = node.open().await;
    let files = tempfile::tempdir().unwrap();
    let made = image(Form::Oci, Compression::None);
    let archive = files.path().join("docker.tar");
    made.write_docker_archive(&archive, "outside:1").unwrap();
    let folder = files.path().join("folder");
    unpack_tar(&archive, &folder);
    assert_eq!(opened.images.import(NS, &folder, None).await.unwrap().len(), 1, "it is good as it is");
    opened.images.remove(NS, "outside:1").await.unwrap();

    // Moved out of the folder, reached by a path and by a link.
    let outside = files.path().join("layer.tar");
    fs::rename(folder.join("00/layer.tar"), &outside).unwrap();
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    for (path, link) in [("../layer.tar", false), (outside.to_str().unwrap(), false), ("00/layer.tar", true)] {
        fs::write(folder.join("manifest.json"), manifest.replace("00/layer.tar", path)).unwrap();
        if link {
            std::os::unix::fs::symlink(&outside, folder.join("00/layer.tar")).unwrap();
        }
        let error = opened.images.import(NS, &folder, None).await.unwrap_err();
        assert!(error.to_string().contains("the archive has no file"), "{path}: {error}");
        assert_eq!(opened.left().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_inflates_without_end_is_refused_and_leaves_nothing() {
    let node = Node::new();
    let opened = node.open_with(|config| config.max_image_bytes = 8 << 20).await;
    let files = tempfile::tempdir().unwrap();
    let zeros = files.path().join("zeros.tar");
    fs::write(&zeros, vec![0; 16 << 20]).unwrap();
    let error = opened.images.import(NS, &gzipped(&zeros), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    let text = error.to_string();
    assert!(text.contains("inflate the archive") && text.contains("more than 8388608 bytes"), "{text}");
    assert!(text.contains("raise max_image_bytes"), "{text}");
    assert_eq!(opened.left().await, Vec::<String>::new());
    drop(opened);

    // Within the bound on bytes, and yet nothing that anybody packs.
    let opened = node.open().await;
    let bomb = files.path().join("bomb.tar.zst");
    let packed = Layer::from_archive("bomb", vec![0; 300 << 20], Compression::Zstd).unwrap();
    fs::write(&bomb, packed.packed()).unwrap();
    let error = opened.images.import(NS, &bomb, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert!(error.to_string().contains("more than 1500 for one"), "{error}");
    assert_eq!(opened.left().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_ends_with_its_caller_and_leaves_nothing() {
    // An empty archive with so many zeroes behind it, a hole, that hashing them takes much longer than this test.
    const LONG: u64 = 1 << 40;
    let node = Node::new();
    let opened = node
        .open_with(|config| {
            config.max_layer_bytes = 2 * LONG;
            config.max_image_bytes = 2 * LONG;
        })
        .await;
    let files = tempfile::tempdir().unwrap();
    let archive = files.path().join("docker.tar");
    image(Form::Oci, Compression::None).write_docker_archive(&archive, "endless:1").unwrap();
    let folder = files.path().join("folder");
    unpack_tar(&archive, &folder);
    fs::OpenOptions::new().write(true).truncate(true).open(folder.join("00/layer.tar")).unwrap().set_len(LONG).unwrap();

    let images = opened.images.clone();
    let importing = tokio::spawn(async move { images.import(NS, &folder, None).await.map(drop) });
    while !opened.left().await.iter().any(|left| left.contains("wharf-extract-")) {
        assert!(!importing.is_finished(), "{:?}", importing.await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    importing.abort();
    let aborted = Instant::now();
    while !opened.left().await.is_empty() {
        assert!(aborted.elapsed() < Duration::from_secs(120), "{:?}", opened.left().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
