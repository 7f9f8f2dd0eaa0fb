use serde_json::json;
use wharf_e2e::Node;
use wharf_testkit::{
    Auth, Compression, DaemonOptions, Image, Kind, Layer, Registry, Tree, busybox, busybox_layers, digest_of,
    many_layers,
};

const HOST: &str = "failing.test";

/// A node for which `failing.test` is this registry.
fn node(registry: &Registry) -> Option<Node> {
    Node::with(mirrored(registry))
}

fn mirrored(registry: &Registry) -> DaemonOptions {
    DaemonOptions { mirrors: vec![(HOST.into(), registry.address())], ..DaemonOptions::default() }
}

fn runs(node: &Node, image: &str) {
    // A name of its own for each, for a log that is there is written on.
    let name: String = image.chars().rev().take(30).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let pod = node.pod(&name);
    let (log, code) = node.outcome(&pod, "main", "echo it runs", |c| c["image"]["image"] = json!(image));
    assert_eq!((log.trim(), code), ("it runs", 0), "{image}");
    node.ok(&["rmp", "-f", &pod.id]);
}

#[test]
fn every_kind_of_image_is_pulled_over_a_mirror_and_runs() {
    let Some(node) = Node::empty() else { return };
    for tag in ["1", "oci", "docker", "docker-list"] {
        let name = format!("images.test/busybox:{tag}");
        node.ok(&["pull", &name]);
        runs(&node, &name);
    }
    let digest =
        node.json(&["inspecti", "images.test/busybox:1"])["status"]["repoDigests"][0].as_str().unwrap().to_owned();
    node.ok(&["rmi", "images.test/busybox:1"]);
    node.ok(&["pull", &digest]);
    runs(&node, &digest);
    node.finish();
}

#[test]
fn an_image_goes_by_the_digest_of_its_configuration() {
    let Some(node) = Node::start() else { return };
    let expected = busybox(Kind::OciIndex).unwrap().id;
    assert_eq!(node.json(&["images"])["images"][0]["id"], expected.as_str());
    let pulled = node.ok(&["pull", &Node::image()]);
    assert!(pulled.contains(&expected), "{pulled}");
    node.finish();
}

#[test]
fn two_tags_of_one_image_are_one_image_and_both_go_with_it() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = node(&registry) else { return };
    let image = busybox(Kind::Docker).unwrap();
    for tag in ["a", "b"] {
        registry.add("tags", tag, &image);
        node.ok(&["pull", &format!("{HOST}/tags:{tag}")]);
    }
    let listed = node.json(&["images"]);
    assert_eq!(listed["images"].as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(listed["images"][0]["repoTags"].as_array().unwrap().len(), 2, "{listed:#}");
    node.ok(&["rmi", &image.id]);
    assert_eq!(node.ok(&["images", "-q"]), "");
    node.finish();
}

#[test]
fn a_layer_that_is_not_what_its_digest_says_is_refused_and_nothing_is_kept() {
    let registry = Registry::start(Auth::Open).unwrap();
    // What is good of a broken pull is kept for the next try, unless the node says not to.
    let options = DaemonOptions { config: "resume_window = 0\n".into(), ..mirrored(&registry) };
    let Some(node) = Node::with(options) else { return };
    let image = busybox(Kind::Docker).unwrap();
    registry.add("corrupt", "1", &image);
    registry.corrupt(&image.blobs[1].digest);
    let said = node.fails(&["pull", &format!("{HOST}/corrupt:1")]);
    assert!(said.contains(&image.blobs[1].digest), "the layer is named: {said}");
    assert_eq!(node.ok(&["images", "-q"]), "");

    let mut layers = busybox_layers([Compression::Gzip; 3]).unwrap();
    let mut tree = Tree::new();
    tree.file("x", "x");
    layers.push(Layer::new("lies", &tree, Compression::Gzip).unwrap().with_wrong_diff_id());
    registry.add("liar", "1", &Image::new(Kind::Oci, &layers, &json!({})).unwrap());
    let said = node.fails(&["pull", &format!("{HOST}/liar:1")]);
    assert!(said.to_lowercase().contains("diff") && said.contains(&digest_of(b"something else")), "{said}");
    node.finish();
}

#[test]
fn a_connection_that_breaks_is_taken_up_again() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = node(&registry) else { return };
    let image = busybox(Kind::Docker).unwrap();
    registry.add("breaks", "1", &image);
    let layer = &image.blobs[1];
    // A third each time: the first answer and the first that takes it up break, the next brings the rest.
    registry.break_blob(&layer.digest, layer.bytes.len() / 3, 2);
    node.ok(&["pull", &format!("{HOST}/breaks:1")]);
    runs(&node, &format!("{HOST}/breaks:1"));
    let asked = registry.seen().into_iter().filter(|s| s.path.contains(&layer.digest) && s.method == "GET").count();
    assert!(asked >= 3, "asked again: {asked}");
    node.finish();
}

#[test]
fn credentials_are_sent_to_the_registry_and_not_to_where_it_redirects() {
    for auth in [Auth::Basic("user".into(), "secret".into()), Auth::Bearer("user".into(), "secret".into())] {
        let (registry, storage) = (Registry::start(auth.clone()).unwrap(), Registry::start(Auth::Open).unwrap());
        let Some(node) = Node::empty() else { return };
        let image = busybox(Kind::OciIndex).unwrap();
        registry.add("private", "1", &image);
        storage.add("private", "1", &image);
        registry.redirect_blobs(&storage.address().replace("127.0.0.1", "localhost"));
        // By its own name: credentials for a registry do not go to its mirrors.
        let name = format!("{}/private:1", registry.address());
        let said = node.fails(&["pull", &name]);
        assert!(
            said.contains("Unauthenticated") || said.to_lowercase().contains("unauthorized") || said.contains("401"),
            "{said}"
        );
        let said = node.fails(&["pull", "--creds", "user:wrong", &name]);
        assert!(!said.contains("wrong"), "a password is never repeated: {said}");
        node.ok(&["pull", "--creds", "user:secret", &name]);
        let asked = storage.seen();
        assert!(!asked.is_empty() && asked.iter().all(|s| s.authorization.is_none()), "{auth:?}: {asked:?}");
        let log = std::fs::read_to_string(node.daemon.log_path()).unwrap();
        assert!(!log.contains("secret"), "the daemon's log keeps no password");
        node.finish();
    }
}

#[test]
fn an_image_of_127_layers_runs() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = node(&registry) else { return };
    registry.add("many", "1", &many_layers(127).unwrap());
    let name = format!("{HOST}/many:1");
    node.ok(&["pull", &name]);
    let pod = node.pod("many");
    let (log, _) =
        node.outcome(&pod, "main", "ls /layer | wc -l; cat /layer/126", |c| c["image"]["image"] = json!(name));
    assert_eq!(log.trim(), "124\n126");
    node.finish();
}

#[test]
fn archives_of_both_kinds_are_imported_and_run() {
    let Some(node) = Node::empty() else { return };
    let dir = node.daemon.scratch().join("test");
    let image = Image::new(
        Kind::OciIndex,
        &busybox_layers([Compression::None; 3]).unwrap(),
        &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }),
    )
    .unwrap();
    image.write_oci_archive(&dir.join("oci.tar"), "images.test/imported/oci:1").unwrap();
    image.write_docker_archive(&dir.join("docker.tar"), "images.test/imported/docker:1").unwrap();
    for kind in ["oci", "docker"] {
        let file = dir.join(format!("{kind}.tar")).display().to_string();
        let out = node.daemon.wharf(&["image", "import", &file]).output().unwrap();
        assert!(out.status.success(), "{kind}: {}", String::from_utf8_lossy(&out.stderr));
        runs(&node, &format!("images.test/imported/{kind}:1"));
    }
    let out = node.daemon.wharf(&["image", "import", "/etc/passwd"]).output().unwrap();
    assert!(!out.status.success(), "/etc/passwd is no image");
    node.finish();
}

#[test]
fn the_file_system_of_images_is_reported() {
    let Some(node) = Node::start() else { return };
    let info = node.json(&["imagefsinfo"]);
    let first = &info["status"]["imageFilesystems"][0];
    let path = first["fsId"]["mountpoint"].as_str().unwrap_or_default();
    assert!(path.starts_with(&node.daemon.root().display().to_string()), "{info:#}");
    assert!(
        first["usedBytes"]["value"].as_str().and_then(|v| v.parse::<u64>().ok()).unwrap_or_default() > 1 << 20,
        "{info:#}"
    );
    node.finish();
}
