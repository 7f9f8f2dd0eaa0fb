//! Pulls, lists, removals and imports.

use std::{io::Write as _, process::Stdio};

use serde_json::{Value, json};
use wharf_e2e::Node;
use wharf_testkit::{Auth, Compression, Image, Kind, Layer, Registry, Tree, busybox};

use super::{DEADLINE, fails, ok, parsed};
use crate::terminal::Terminal;

#[test]
fn images_are_pulled_listed_inspected_and_removed() {
    let Some(node) = Node::empty() else { return };
    let image = Node::image();
    let pulled = ok(&node, &["pull", &image]);
    assert!(pulled.starts_with(&format!("{image}: sha256:")), "{pulled}");
    let listed = parsed(&node, &["images", "--json"]);
    assert_eq!(listed[0]["tags"], json!([image]));
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(parsed(&node, &["pull", "--json", &image])["id"], id);
    let table = ok(&node, &["images"]);
    assert!(table.starts_with("IMAGE") || table.trim_start().starts_with("IMAGE"), "{table}");
    assert!(table.contains("images.test/busybox") && table.contains(&id[7..20]), "{table}");
    assert_eq!(ok(&node, &["images", "-q"]).trim(), id);
    assert_eq!(parsed(&node, &["inspect", &image])["type"], "image");
    let snapshots = parsed(&node, &["snapshots", "--json"]);
    let layers = snapshots["snapshots"].as_array().unwrap();
    assert!(!layers.is_empty() && layers.iter().all(|layer| layer["kind"] == "committed"), "{snapshots}");
    assert!(ok(&node, &["snapshots"]).contains("committed"));
    assert_eq!(ok(&node, &["rmi", &image]).trim(), image);
    assert_eq!(parsed(&node, &["images", "--json"]), json!([]));
    let (code, said) = fails(&node, &["rmi", &image]);
    assert_eq!(code, 4, "{said}");
    ok(&node, &["rmi", "--force", &image]);
    let (code, said) = fails(&node, &["pull", "images.test/nothing:here"]);
    assert!(code != 0 && said.contains("pull images.test/nothing:here"), "{said}");
    node.finish();
}

#[test]
fn a_pull_tells_a_program_how_far_it_is() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = Node::empty() else { return };
    let layers = ["one", "two"].map(|note| {
        let mut tree = Tree::new();
        tree.file(note, note.repeat(1 << 20));
        Layer::new(note, &tree, Compression::None).unwrap()
    });
    let image = Image::new(Kind::Oci, &layers, &json!({})).unwrap();
    registry.add("told", "1", &image);
    let name = format!("{}/told:1", registry.address());
    let said = ok(&node, &["pull", "--json", &name]);
    let mut lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines.pop().unwrap(),
        json!({ "image": name, "id": image.id }),
        "as it is also of an image that is there"
    );
    for (index, layer) in layers.iter().enumerate() {
        let last = lines.iter().rfind(|line| line["index"] == index).unwrap();
        assert_eq!((&last["state"], &last["done"]), (&json!("done"), &last["total"]), "{said}");
        assert_eq!(last["total"], layer.packed().len(), "{said}");
    }
    assert!(lines.iter().all(|line| line["layer"].as_str().unwrap().starts_with("sha256:")), "{said}");
    assert_eq!(ok(&node, &["pull", "--json", &name]), format!("{}\n", json!({ "image": name, "id": image.id })));
    assert_eq!(ok(&node, &["pull", "--json", "-q", &name]).lines().count(), 1);
    node.finish();
}

#[test]
fn images_of_another_namespace_are_listed_inspected_and_removed_there() {
    let Some(node) = Node::empty() else { return };
    let image = Node::image();
    ok(&node, &["pull", "-n", "other", &image]);
    assert_eq!(parsed(&node, &["images", "--json"]), json!([]), "CRI's namespace has none");
    let listed = parsed(&node, &["images", "-n", "other", "--json"]);
    assert_eq!(listed[0]["tags"], json!([image]));
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(ok(&node, &["images", "-n", "other", "-q", "images.test/busybox:1"]).trim(), id);
    assert_eq!(ok(&node, &["images", "-n", "other", "-q", "images.test/busybox:2"]), "");
    let inspected = parsed(&node, &["inspect", "-n", "other", "--type", "image", &image]);
    assert_eq!((&inspected["type"], &inspected["status"]["id"]), (&json!("image"), &json!(id)));
    assert_eq!(inspected["info"]["imageSpec"]["os"], "linux", "{inspected:#}");
    for verb in ["inspect", "rmi"] {
        let (code, said) = fails(&node, &[verb, &image]);
        assert!(code == 4 && said.contains(&image), "{verb} in CRI's namespace: {said}");
    }
    assert_eq!(parsed(&node, &["images", "-n", "other", "--json"]), listed, "and so it is still there");
    ok(&node, &["rmi", "-n", "other", &id[..19]]);
    assert_eq!(parsed(&node, &["images", "-n", "other", "--json"]), json!([]));
    assert_eq!(parsed(&node, &["snapshots", "-n", "other", "--json"])["snapshots"], json!([]));
    node.finish();
}

#[test]
fn of_several_tags_one_is_removed_as_by_docker() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = Node::empty() else { return };
    let image = busybox(Kind::Docker).unwrap();
    let name = |repository: &str, tag: &str| {
        registry.add(repository, tag, &image);
        format!("{}/{repository}:{tag}", registry.address())
    };
    let [a1, a2, b1] = [name("a", "1"), name("a", "2"), name("b", "1")];
    for name in [&a1, &a2, &b1] {
        ok(&node, &["pull", name]);
    }
    let known = |node: &Node| {
        let listed = parsed(node, &["images", "--json"]);
        assert_eq!(listed.as_array().unwrap().len(), 1, "one image: {listed:#}");
        (listed[0]["tags"].clone(), listed[0]["digests"].as_array().unwrap().len())
    };
    assert_eq!(known(&node), (json!([a1, a2, b1]), 2));
    ok(&node, &["rmi", &a1]);
    assert_eq!(known(&node), (json!([a2, b1]), 2), "the repository has another tag");
    ok(&node, &["rmi", &a2]);
    assert_eq!(known(&node), (json!([b1]), 1), "the last tag of a repository takes its digest along");
    let (code, said) = fails(&node, &["rmi", &a2]);
    assert_eq!(code, 4, "{said}");
    ok(&node, &["pull", &a1]);
    ok(&node, &["rmi", &a1, &b1]);
    assert_eq!(parsed(&node, &["images", "--json"]), json!([]), "the last name takes the image along");
    assert_eq!(parsed(&node, &["snapshots", "--json"])["snapshots"], json!([]));
    ok(&node, &["pull", &a1]);
    ok(&node, &["pull", &b1]);
    ok(&node, &["rmi", &image.id]);
    assert_eq!(parsed(&node, &["images", "--json"]), json!([]), "by its id it goes with all its names");
    node.finish();
}

#[test]
fn unused_images_are_pruned_and_all_removed() {
    let Some(node) = Node::start() else { return };
    let [used, mounted, unused] = ["busybox:1", "odd:1", "user:numeric"].map(|name| format!("images.test/{name}"));
    ok(&node, &["pull", &mounted]);
    ok(&node, &["pull", &unused]);
    ok(&node, &["pull", "-n", "other", &unused]);
    let tags = |node: &Node| -> Vec<String> {
        let listed = parsed(node, &["images", "--json"]);
        listed.as_array().unwrap().iter().map(|image| image["tags"][0].as_str().unwrap().to_owned()).collect()
    };
    let pod = node.pod("prune");
    let volume = json!([{ "container_path": "/volume", "image": { "image": mounted }, "readonly": true }]);
    let id = node.run_with(&pod, "main", "true", |container| container["mounts"] = volume.clone());
    node.exit_code(&id);
    let gone = ok(&node, &["rmi", "--prune"]);
    assert_eq!(gone.lines().count(), 1, "{gone}");
    assert_eq!(tags(&node), [used, mounted], "those of a container that has ended stay");
    assert_eq!(ok(&node, &["rmi", "--prune"]), "");
    node.ok(&["rmp", "-f", &pod.id]);
    assert_eq!(ok(&node, &["rmi", "--all"]).lines().count(), 2);
    assert_eq!(tags(&node), [""; 0]);
    assert_eq!(parsed(&node, &["images", "-n", "other", "--json"]).as_array().unwrap().len(), 1);
    ok(&node, &["rmi", "--prune", "-n", "other"]);
    let (code, said) = fails(&node, &["rmi"]);
    assert!(code == 2 && said.contains("IMAGES"), "{said}");
    let (code, said) = fails(&node, &["rmi", "--all", &Node::image()]);
    assert!(code == 2, "{said}");
    node.finish();
}

#[test]
fn an_image_is_not_pruned_as_long_as_it_is_mounted_whatever_its_name_means_by_now() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = Node::start() else { return };
    let name = format!("{}/moving:1", registry.address());
    let ids = ["old", "new"].map(|which| {
        let mut tree = Tree::new();
        tree.file("which", which);
        let layer = Layer::new(which, &tree, Compression::Gzip).unwrap();
        let image = Image::new(Kind::Oci, &[layer], &json!({})).unwrap();
        registry.add("moving", "1", &image);
        ok(&node, &["pull", &name]);
        if which == "old" {
            let volume = json!([{ "container_path": "/volume", "image": { "image": name }, "readonly": true }]);
            let pod = node.pod("mounts");
            let id = node.run_with(&pod, "main", "exec sleep 1000", |container| container["mounts"] = volume);
            assert_eq!(node.ok(&["exec", "-s", &id, "cat", "/volume/which"]), "old");
        }
        image.id
    });
    let used = |node: &Node| -> Vec<bool> {
        let listed = parsed(node, &["images", "--json"]);
        let used = |id: &String| listed.as_array().unwrap().iter().find(|image| image["id"] == **id);
        ids.iter().filter_map(used).map(|image| image["used"].as_bool().unwrap()).collect()
    };
    assert_eq!(used(&node), [true, false]);
    assert_eq!(ok(&node, &["rmi", "--prune"]).trim(), ids[1], "that with the name, which nobody has mounted");
    assert_eq!(used(&node), [true]);
    node.finish();
}

#[test]
fn images_are_filtered_and_shown_with_digests_and_age() {
    let Some(node) = Node::start() else { return };
    ok(&node, &["pull", "images.test/odd:1"]);
    let listed = parsed(&node, &["images", "--json", "images.test/busybox:1"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "the one that is named");
    let (id, digest) = (listed[0]["id"].as_str().unwrap(), listed[0]["digests"][0].as_str().unwrap());
    assert!(listed[0]["createdAt"].as_str().is_some_and(|at| at.parse::<i64>().is_ok()), "{listed:#}");
    let whole = ok(&node, &["images", "--digests", "--no-trunc"]);
    assert!(whole.contains(id) && whole.contains(digest.split_once('@').unwrap().1), "{whole}");
    assert!(whole.contains("CREATED") && whole.contains(" ago"), "{whole}");
    assert!(!ok(&node, &["images"]).contains(id));
    for (filters, expected) in [
        (&["reference=busybox"][..], id),
        (&["dangling=true"], ""),
        (&["dangling=false", "reference=/busybox:[0-9]$"], id),
        (&["label=no.such"], ""),
    ] {
        let flags: Vec<_> = filters.iter().flat_map(|filter| ["-f", filter]).collect();
        assert_eq!(ok(&node, &[&["images", "-q"][..], &flags].concat()).trim(), expected, "{filters:?}");
    }
    let (code, said) = fails(&node, &["images", "--filter", "since=yesterday"]);
    assert!(code == 2 && said.contains("dangling"), "{said}");
    node.finish();
}

#[test]
fn a_pull_is_given_credentials_or_finds_the_callers_own() {
    let registry = Registry::start(Auth::Basic("user".into(), "secret".into())).unwrap();
    let Some(node) = Node::empty() else { return };
    registry.add("private", "1", &busybox(Kind::Docker).unwrap());
    let address = registry.address();
    let image = format!("{address}/private:1");
    let docker = tempfile::tempdir().unwrap();
    let config = |text: &str| std::fs::write(docker.path().join("config.json"), text).unwrap();
    let pull = |flags: &[&str], input: &str| {
        let mut pull = node.daemon.wharf(&[&["pull", "-q"][..], flags, &[image.as_str()]].concat());
        pull.env("DOCKER_CONFIG", docker.path()).env("PATH", docker.path());
        let mut pull = pull.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that refuses its flags does not read it.
        let _ = pull.stdin.take().unwrap().write_all(input.as_bytes());
        let out = pull.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!said.contains("secret"), "no secret is told: {said}");
        if out.status.success() {
            ok(&node, &["rmi", &image]);
        }
        (out.status.success(), said)
    };
    let (pulled, said) = pull(&[], "");
    assert!(!pulled && said.to_lowercase().contains("unauth"), "{said}");
    for (flags, input, expected) in [
        (&["--creds", "user:secret"][..], "", true),
        (&["--creds", "user:wrong"], "", false),
        (&["--creds", "user"], "", false),
        (&["--username", "user", "--password-stdin"], "secret\n", true),
        (&["-u", "user", "--password-stdin"], "wrong", false),
        (&["-u", "user", "--password-stdin"], "", false),
        (&["-u", "user"], "secret", false),
    ] {
        let (pulled, said) = pull(flags, input);
        assert_eq!(pulled, expected, "{flags:?}: {said}");
    }
    config(&json!({ "auths": { &address: { "auth": "dXNlcjpzZWNyZXQ=" } } }).to_string());
    let (pulled, said) = pull(&[], "");
    assert!(pulled, "the caller's config.json: {said}");
    assert!(!pull(&["--creds", "user:wrong"], "").0, "what is given goes before it");
    config(&json!({ "credHelpers": { &address: "test" } }).to_string());
    let (pulled, said) = pull(&[], "");
    assert!(!pulled && said.contains("docker-credential-test"), "a helper that is not there is named: {said}");
    let helper = docker.path().join("docker-credential-test");
    std::fs::write(&helper, "#!/bin/sh\necho '{\"Username\": \"user\", \"Secret\": \"secret\"}'\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&helper, mode).unwrap();
    let (pulled, said) = pull(&[], "");
    assert!(pulled, "a helper: {said}");
    node.finish();
}

#[test]
fn an_archive_is_imported_from_a_file_or_from_standard_input() {
    let Some(node) = Node::empty() else { return };
    let file = node.daemon.scratch().join("test/image.tar");
    let image = busybox(Kind::Oci).unwrap();
    image.write_oci_archive(&file, "images.test/imported:1").unwrap();
    let path = file.display().to_string();
    assert_eq!(ok(&node, &["image", "import", "-q", &path]).trim(), image.id);
    let listed = parsed(&node, &["image", "import", "--json", "--name", "images.test/another:2", &path]);
    assert_eq!(listed[0]["id"], image.id.as_str(), "{listed:#}");
    assert!(listed[0]["tags"].as_array().unwrap().contains(&json!("images.test/another:2")), "{listed:#}");
    assert_eq!(parsed(&node, &["images", "--json"])[0]["tags"].as_array().unwrap().len(), 2);
    let mut piped = node.daemon.wharf(&["image", "import", "-n", "other", "-"]);
    let out = piped.stdin(std::fs::File::open(&file).unwrap()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(text.starts_with(&format!("{}\timages.test/imported:1", image.id)), "{text}");
    assert_eq!(ok(&node, &["images", "-n", "other", "-q"]).trim(), image.id);
    let mut broken = node.daemon.wharf(&["image", "import", "-"]);
    let mut broken = broken.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    broken.stdin.take().unwrap().write_all(&std::fs::read(&file).unwrap()[..20_000]).unwrap();
    assert!(!broken.wait_with_output().unwrap().status.success(), "half of an archive is none");
    let (code, said) = fails(&node, &["image", "import", "/no/such.tar"]);
    assert!(code == 1 && said.contains("/no/such.tar"), "{said}");
    let (code, said) = fails(&node, &["image", "import", "/etc/passwd"]);
    assert!(code == 1 && said.starts_with("wharf: import /etc/passwd: "), "{said}");
    assert!(!said.contains("spool") && !said.contains("import-"), "what is ours alone is not told: {said}");
    ok(&node, &["rmi", "--all", "-n", "other"]);
    node.finish();
}

#[test]
fn on_a_terminal_a_pull_has_a_bar_a_layer() {
    let Some(node) = Node::empty() else { return };
    let image = Node::image();
    let mut terminal = Terminal::open(40, 120);
    let mut child = terminal.run(&mut node.daemon.wharf(&["pull", &image]));
    assert!(child.wait().unwrap().success(), "{}", terminal.text());
    assert!(terminal.seen_within("done", DEADLINE) && terminal.text().contains('['), "{}", terminal.text());
    node.finish();
}
