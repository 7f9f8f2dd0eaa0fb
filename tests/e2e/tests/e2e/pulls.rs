//! Pulls and imports that come to no good end: what is too large, what does not go on, who goes away; and with whose
//! credentials.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;
use wharf_api::cri::{AuthConfig, ImageSpec, PullImageRequest};
use wharf_e2e::{Cri, Node};
use wharf_testkit::{
    Auth, Compression, DaemonOptions, Image, Kind, Layer, Proxy, Registry, Tree, busybox, busybox_layers, wait_for,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn node(config: &str) -> Option<Node> {
    Node::with(DaemonOptions { config: config.into(), ..DaemonOptions::default() })
}

/// An image of layers with a file of so many zeroes each.
fn zeroes(sizes: &[usize]) -> Image {
    let layer = |(number, size): (usize, &usize)| {
        let mut tree = Tree::new();
        tree.file(&format!("zeroes-{number}"), vec![0; *size]);
        Layer::new("zeroes", &tree, Compression::Gzip).unwrap()
    };
    let layers: Vec<Layer> = sizes.iter().enumerate().map(layer).collect();
    Image::new(Kind::Oci, &layers, &json!({})).unwrap()
}

/// What lies in the folders of downloads, imports and layers.
fn left(node: &Node) -> Vec<String> {
    let folders = ["content/ingest", "spool", "snapshots/overlayfs"].map(|folder| node.daemon.root().join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    // The mark that the folder is this store's.
    let own = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    own.map(|entry| entry.path().display().to_string()).collect()
}

fn until_nothing_is_left(node: &Node) {
    assert!(wait_for(PATIENCE, || left(node).is_empty()), "{:?}", left(node));
    assert_eq!(node.ok(&["images", "-q"]), "");
}

fn said(mut command: Command) -> String {
    let out = command.output().unwrap();
    assert!(!out.status.success(), "{command:?}");
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn an_image_that_is_larger_than_the_node_takes_ends_as_soon_as_that_is_known() {
    let registry = Registry::start(Auth::Open).unwrap();
    let config = "max_layer_bytes = 4194304\nmax_image_bytes = 6291456\nresume_window = 0\n";
    let Some(node) = node(config) else { return };
    let plain = {
        let mut tree = Tree::new();
        tree.file("large", vec![7; 7 << 20]);
        Image::new(Kind::Oci, &[Layer::new("large", &tree, Compression::None).unwrap()], &json!({})).unwrap()
    };
    for (name, image, key) in [
        ("bomb", &zeroes(&[64 << 20]), "max_layer_bytes"),
        ("many", &zeroes(&[3 << 20, 3 << 20, 3 << 20]), "max_image_bytes"),
        ("plain", &plain, "max_layer_bytes"),
    ] {
        registry.add(name, "1", image);
        let said = node.fails(&["pull", &format!("{}/{name}:1", registry.address())]);
        assert!(said.contains(key) && said.contains("ResourceExhausted"), "{name}: {said}");
        until_nothing_is_left(&node);
    }
    let asked = |seen: &wharf_testkit::Seen| seen.path.contains(&plain.blobs[1].digest);
    assert!(!registry.seen().iter().any(asked), "its descriptor says that it is too large");

    let files = node.daemon.scratch().join("test");
    plain.write_oci_archive(&files.join("oci.tar"), "images.test/large:1").unwrap();
    let importing = node.daemon.wharf(&["image", "import", &files.join("oci.tar").display().to_string()]);
    let said = said(importing);
    assert!(said.contains("archive has more than 6291456 bytes") && said.contains("max_image_bytes"), "{said}");
    until_nothing_is_left(&node);
    node.ok(&["pull", &Node::image()]);
    node.finish();
}

#[test]
fn a_pull_whose_client_is_killed_is_given_up_and_leaves_nothing() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = node("abandon_after = 1\nresume_window = 0\n") else { return };
    let image = busybox(Kind::Docker).unwrap();
    registry.add("slow", "1", &image);
    let name = format!("{}/slow:1", registry.address());
    for by_crictl in [true, false] {
        registry.stall_blob(&image.blobs[1].digest, 1000);
        let mut client =
            if by_crictl { node.crictl.command(&["pull", &name]) } else { node.daemon.wharf(&["pull", &name]) };
        let mut client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = wait_for(PATIENCE, || registry.stalled() > 0 && !left(&node).is_empty());
        client.kill().unwrap();
        client.wait().unwrap();
        assert!(began, "the pull is under way");
        until_nothing_is_left(&node);
        registry.go_on();
        assert!(wait_for(PATIENCE, || registry.stalled() == 0));
    }
    node.ok(&["pull", &name]);
    node.finish();
}

#[test]
fn a_pull_whose_client_is_killed_goes_on_for_as_long_as_is_configured() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = node("abandon_after = 3600\n") else { return };
    let image = busybox(Kind::Docker).unwrap();
    registry.add("slow", "1", &image);
    registry.stall_blob(&image.blobs[1].digest, 1000);
    let name = format!("{}/slow:1", registry.address());
    let mut client = node.crictl.command(&["pull", &name]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = wait_for(PATIENCE, || registry.stalled() > 0);
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(began, "the pull is under way");
    registry.go_on();
    assert!(wait_for(PATIENCE, || node.ok(&["images", "-q"]).contains(image.id.trim_start_matches("sha256:"))));
    node.finish();
}

#[test]
fn a_download_that_stands_still_ends_after_the_configured_time() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = node("progress_timeout = 1\nresume_window = 0\n") else { return };
    let image = busybox(Kind::Docker).unwrap();
    registry.add("still", "1", &image);
    registry.stall_blob(&image.blobs[1].digest, 1000);
    let said = node.fails(&["pull", &format!("{}/still:1", registry.address())]);
    assert!(said.contains("no byte for 1s") && said.contains(&image.blobs[1].digest), "{said}");
    until_nothing_is_left(&node);
    registry.go_on();
    node.ok(&["pull", &format!("{}/still:1", registry.address())]);
    node.finish();
}

#[test]
fn an_import_whose_client_is_killed_leaves_nothing() {
    let Some(node) = Node::empty() else { return };
    let archive = node.daemon.scratch().join("test/oci.tar");
    let layers = busybox_layers([Compression::None; 3]).unwrap();
    Image::new(Kind::Oci, &layers, &json!({})).unwrap().write_oci_archive(&archive, "images.test/half:1").unwrap();
    let archive = fs::read(archive).unwrap();
    let mut client = node.daemon.wharf(&["image", "import", "-"]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(&archive[..archive.len() / 2]).unwrap();
    let began = wait_for(PATIENCE, || !left(&node).is_empty());
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(began, "the archive is on its way");
    until_nothing_is_left(&node);
    node.finish();
}

#[test]
fn tokens_that_a_request_carries_are_shown_to_the_registry() {
    let registry = Registry::start(Auth::Bearer("user".into(), "secret".into())).unwrap();
    let Some(node) = Node::empty() else { return };
    registry.add("guarded", "1", &busybox(Kind::OciIndex).unwrap());
    let cri = Cri::new(&node.daemon.socket());
    let image = format!("{}/guarded:1", registry.address());
    let pull = |auth: AuthConfig| {
        let image = Some(ImageSpec { image: image.clone(), ..ImageSpec::default() });
        let request = PullImageRequest { image, auth: Some(auth), ..PullImageRequest::default() };
        let mut images = cri.images();
        cri.wait(async move { images.pull_image(request).await })
    };
    let token = |text: &str| AuthConfig { registry_token: text.into(), ..AuthConfig::default() };
    let identity = |text: &str| AuthConfig { identity_token: text.into(), ..AuthConfig::default() };
    let asked = |part: &str| registry.seen().iter().filter(|seen| seen.path.starts_with(part)).count();

    for wrong in [token("guessed"), identity("guessed")] {
        let status = pull(wrong).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unauthenticated, "{status}");
        assert!(!status.message().contains("guessed"), "{status}");
    }
    let before = asked("/token");
    pull(token(Registry::TOKEN)).unwrap();
    assert_eq!(asked("/token"), before, "it is the token itself");
    node.ok(&["rmi", &image]);
    pull(identity(Registry::IDENTITY)).unwrap();
    assert!(asked("/token") > before, "for this one a token is given");
    node.finish();
}

#[test]
fn the_node_s_own_credentials_come_from_a_file_and_from_a_helper() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::start(Auth::Basic("user".into(), "secret".into())).unwrap();
    let other = Registry::start(Auth::Basic("robot".into(), "hidden".into())).unwrap();
    let image = busybox(Kind::OciIndex).unwrap();
    registry.add("private", "1", &image);
    other.add("private", "1", &image);
    let helper = dir.path().join("docker-credential-robots");
    let answer = json!({ "ServerURL": other.address(), "Username": "robot", "Secret": "hidden" });
    fs::write(&helper, format!("#!/bin/sh\nread -r server\necho '{answer}'\n")).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.path().join("config.json");
    let config = json!({
        "auths": { registry.address(): { "username": "user", "password": "secret" } },
        "credHelpers": { other.address(): "robots" },
    });
    fs::write(&file, config.to_string()).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let options = DaemonOptions {
        config: format!("auth_file = {:?}\n", file.display().to_string()),
        environment: vec![("PATH".into(), path)],
        ..DaemonOptions::default()
    };
    let Some(node) = Node::with(options) else { return };
    for registry in [&registry, &other] {
        node.ok(&["pull", &format!("{}/private:1", registry.address())]);
    }
    fs::write(&file, "{}").unwrap();
    let said = node.fails(&["pull", &format!("{}/private:1", registry.address())]);
    assert!(said.contains("Unauthenticated"), "{said}");
    let log = fs::read_to_string(node.daemon.log_path()).unwrap();
    assert!(!log.contains("secret") && !log.contains("hidden"), "the daemon's log keeps no password");
    node.finish();
}

#[test]
fn a_registry_is_asked_through_the_proxy_of_the_daemon_s_environment() {
    let registry = Registry::start(Auth::Open).unwrap();
    registry.add("behind", "1", &zeroes(&[1000]));
    let proxy = Proxy::start(&registry.address()).unwrap();
    let options = DaemonOptions {
        // A name that nobody knows but the proxy.
        mirrors: vec![("proxied.test".into(), "proxied.test:5000".into())],
        environment: vec![("HTTP_PROXY".into(), format!("http://user:hidden@{}", proxy.address()))],
        ..DaemonOptions::default()
    };
    let Some(node) = Node::with(options) else { return };
    node.ok(&["pull", "proxied.test/behind:1"]);
    let asked = proxy.seen();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.authorization.is_some()), "{asked:?}");
    assert!(asked.iter().all(|asked| asked.target.starts_with("http://proxied.test:5000/v2/behind/")), "{asked:?}");
    // On this machine it is asked by nobody.
    node.ok(&["pull", &format!("{}/behind:1", registry.address())]);
    assert_eq!(proxy.seen().len(), asked.len());
    let log = fs::read_to_string(node.daemon.log_path()).unwrap();
    assert!(log.contains("registries are asked through proxies"), "it says which");
    assert!(log.contains(&proxy.address()) && !log.contains("hidden"), "and keeps no password");
    node.finish();
}

#[test]
fn images_that_the_configuration_pins_say_so() {
    let registry = Registry::start(Auth::Open).unwrap();
    registry.add("other", "1", &zeroes(&[1000]));
    let Some(node) = node("pinned_images = [\"images.test/busybox:1\", \"pause\"]\n") else { return };
    node.ok(&["pull", &Node::image()]);
    node.ok(&["pull", &format!("{}/other:1", registry.address())]);
    let listed = node.json(&["images"]);
    let mut pinned: Vec<(String, bool)> = listed["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["repoTags"][0].as_str().unwrap().to_owned(), image["pinned"].as_bool().unwrap_or_default()))
        .collect();
    pinned.sort_by_key(|(_, pinned)| *pinned);
    assert_eq!(pinned, [(format!("{}/other:1", registry.address()), false), (Node::image(), true)], "{listed:#}");
    node.finish();
}
