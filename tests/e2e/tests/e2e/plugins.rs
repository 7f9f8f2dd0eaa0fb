use std::fs;

use wharf_e2e::Node;
use wharf_testkit::{Daemon, DaemonOptions, need, root};

#[test]
fn the_bundled_snapshotter_is_listed_with_its_contract_and_powers() {
    let Some(node) = Node::empty() else { return };
    let listed = node.plugins();
    let plugin = &listed["plugins"][0];
    assert_eq!(
        (plugin["name"].as_str(), plugin["kind"].as_str()),
        (Some("overlayfs"), Some("snapshotter")),
        "{listed:#}"
    );
    assert!(plugin["contract"].as_str().unwrap().contains("0.1.0-draft"), "{listed:#}");
    assert!(
        plugin["powers"].as_array().unwrap().iter().any(|p| p.as_str().is_some_and(|p| p.ends_with("layer-dir"))),
        "{listed:#}"
    );
    assert!(plugin["digest"].as_str().unwrap().starts_with("sha256:"), "{listed:#}");
    node.finish();
}

#[test]
fn every_snapshot_of_a_container_is_decided_by_the_plugin() {
    let Some(node) = Node::start() else { return };
    let calls = |function: &str| {
        let listed = node.plugins();
        let all = listed["calls"].as_array().unwrap().clone();
        all.iter().filter(|c| c["function"] == function).filter_map(|c| c["calls"].as_u64()).sum::<u64>()
    };
    let (prepared, removed) = (calls("prepare"), calls("remove"));
    assert!(prepared >= 3 && calls("commit") >= 3, "an image of three layers: {prepared} prepared");
    let pod = node.pod("asked");
    let id = node.run(&pod, "main", "exec sleep 1000");
    assert_eq!(calls("prepare"), prepared + 1, "one more layer, the container's own");
    node.ok(&["stop", "--timeout", "0", &id]);
    node.ok(&["rm", &id]);
    assert_eq!(calls("remove"), removed + 1);
    node.finish();
}

#[test]
fn a_component_is_inspected_without_a_daemon() {
    let Some(bin) = need(Daemon::bin_dir()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("thing.wasm");
    fs::write(&file, wharf_test_guests::HOSTILE).unwrap();
    let inspect = |flags: &[&str]| {
        let out =
            std::process::Command::new(bin.join("wharf")).args(["plugin", "inspect"]).args(flags).arg(&file).output();
        let out = out.unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let seen: serde_json::Value = serde_json::from_str(&inspect(&["--json"])).unwrap();
    assert_eq!(seen["kind"], "snapshotter");
    assert_eq!(seen["size"], wharf_test_guests::HOSTILE.len());
    let powers: Vec<_> = seen["powers"].as_array().unwrap().iter().filter_map(serde_json::Value::as_str).collect();
    assert!(powers.iter().any(|power| power.ends_with("layer-dir")), "{seen:#}");
    assert!(seen["digest"].as_str().unwrap().starts_with("sha256:") && seen["contract"].is_string(), "{seen:#}");
    let text = inspect(&[]);
    assert!(text.contains("snapshotter") && text.contains("To grant: [plugins.NAME] grant = "), "{text}");
}

#[test]
fn a_file_that_is_no_component_is_refused_and_named() {
    let Some(()) = need(root()) else { return };
    let Some(bin) = need(Daemon::bin_dir()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("overlayfs.wasm");
    fs::write(&file, "this is no WebAssembly").unwrap();
    let out = std::process::Command::new(bin.join("wharf")).args(["plugin", "inspect"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("overlayfs.wasm"), "{said}");

    // In the plugins' folder it takes the bundled one's place: the daemon must not fall back in silence.
    let config = format!("[plugins]\ndir = {:?}\n", dir.path());
    let error = Daemon::start(&DaemonOptions { name: "e2e".into(), config, ..DaemonOptions::default() });
    let said = format!("{:#}", error.expect_err("a daemon without its snapshotter does not start"));
    assert!(said.contains("overlayfs"), "{said}");
}

#[test]
fn a_power_that_is_refused_fails_what_needs_it_with_the_plugins_name() {
    let Some(()) = need(root()) else { return };
    let config = "[plugins.overlayfs]\nrefuse = [\"layer-dir\"]\n".to_owned();
    let options = DaemonOptions { name: "e2e".into(), config, ..DaemonOptions::default() };
    let said = match Daemon::start(&options) {
        Err(error) => format!("{error:#}"),
        Ok(daemon) => {
            drop(daemon);
            let Some(node) = Node::with(options) else { return };
            node.fails(&["pull", &Node::image()])
        }
    };
    assert!(said.contains("overlayfs") && said.contains("layer-dir"), "{said}");
}
