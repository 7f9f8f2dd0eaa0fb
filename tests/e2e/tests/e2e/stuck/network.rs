//! Network plugins and registries that do not answer. What they do beyond is in `networks` and `pulls`.

use std::{fs, net::TcpListener, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use wharf_api::cri::*;
use wharf_e2e::{Cni, Cri, Node};
use wharf_testkit::{Auth, Compression, Image, Kind, Layer, Registry, Tree, wait_for};

use super::{DEADLINE, PATIENCE, is_late, node, others_go_on};

#[test]
fn a_daemon_that_waits_for_a_plugin_of_the_one_before_it_ends_when_told() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(mut node) = cni.node("plugin_timeout = 600") else { return };
    fs::write(cni.order("hang-ADD"), "").unwrap();
    let config = node.pod_config("cut-off", |_| {});
    let mut client = node.crictl.command(&["runp", &config]).spawn().unwrap();
    assert!(wait_for(PATIENCE, || cni.order("hanging").exists()));
    node.daemon.kill().unwrap();
    client.wait().unwrap();
    node.daemon.launch().unwrap();
    // Within the time that a supervisor of services gives it.
    assert!(node.daemon.stop().unwrap().success());
    fs::remove_file(cni.order("hang-ADD")).unwrap();
    let pid: i32 = fs::read_to_string(cni.order("hanging")).unwrap().trim().parse().unwrap();
    fs::remove_file(cni.order("hanging")).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    node.daemon.launch().unwrap();
    assert!(wait_for(PATIENCE, || node.ok(&["pods", "-q"]).is_empty()));
    cni.finish(node);
}

#[test]
fn a_plugin_that_hangs_is_named_to_who_waits_and_holds_nobody_else_up() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(node) = cni.node("plugin_timeout = 600") else { return };
    let cri = Cri::new(&node.daemon.socket());
    let metadata = |name: &str| {
        let (uid, namespace) = (format!("uid-of-{name}"), "tests".to_owned());
        Some(PodSandboxMetadata { name: name.into(), uid, namespace, attempt: 0 })
    };
    let config = PodSandboxConfig { metadata: metadata("hangs"), ..PodSandboxConfig::default() };
    let run = RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
    let mut client = cri.runtime();
    let end = |verb: &str| {
        // The one that hangs is ended; the next one works.
        fs::remove_file(cni.order(&format!("hang-{verb}"))).unwrap();
        let pid: i32 = fs::read_to_string(cni.order("hanging")).unwrap().trim().parse().unwrap();
        fs::remove_file(cni.order("hanging")).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    };

    fs::write(cni.order("hang-ADD"), "").unwrap();
    let words = ["run pod hangs_tests_uid-of-hangs_0", "network pods: plugin probe: ADD"];
    for _ in 0..2 {
        is_late!(cri, runtime, run_pod_sandbox, run, DEADLINE, &words);
    }
    on_the_nodes_network(&node);
    end("ADD");
    // Whoever asks while what was begun is undone hears of the plugin's end.
    let mut made = None;
    let asked = || {
        made = cri.wait(client.run_pod_sandbox(run.clone())).ok();
        made.is_some()
    };
    assert!(wait_for(PATIENCE, asked), "it is never made");
    let pod_sandbox_id = made.unwrap().into_inner().pod_sandbox_id;
    assert_eq!(node.ok(&["pods", "-q"]), pod_sandbox_id);

    fs::write(cni.order("hang-DEL"), "").unwrap();
    let stop = StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() };
    let words = ["stop pod sandbox", &pod_sandbox_id, "network pods: plugin probe: DEL"];
    is_late!(cri, runtime, stop_pod_sandbox, stop, DEADLINE, &words);
    on_the_nodes_network(&node);
    end("DEL");
    cri.wait(client.stop_pod_sandbox(stop)).unwrap();
    cni.finish(node);
}

/// It needs no plugin.
fn on_the_nodes_network(node: &Node) {
    let pod = node.pod_with("beside", |pod| {
        pod["linux"] = json!({ "security_context": { "namespace_options": { "network": 2 } } });
    });
    node.ok(&["stopp", &pod.id]);
    node.ok(&["rmp", &pod.id]);
}

#[test]
fn a_registry_that_hangs_is_named_and_the_pull_succeeds_once_it_answers() {
    let registry = Registry::start(Auth::Open).unwrap();
    let Some(node) = node("", None) else { return };
    let cri = Cri::new(&node.daemon.socket());
    let mut tree = Tree::new();
    tree.file("large", vec![7; 1 << 20]);
    let layers = [Layer::new("large", &tree, Compression::None).unwrap()];
    let made = Image::new(Kind::Oci, &layers, &json!({})).unwrap();
    registry.add("slow", "1", &made);
    let layer = &made.blobs[1].digest;
    registry.stall_blob(layer, 1000);
    let pull = |image: String| PullImageRequest {
        image: Some(ImageSpec { image, ..ImageSpec::default() }),
        ..PullImageRequest::default()
    };
    let mut client = cri.images();
    let image = format!("{}/slow:1", registry.address());
    let words = [&*format!("pull {image}"), "layer sha256:", "downloading"];
    is_late!(cri, images, pull_image, pull(image.clone()), DEADLINE, &words);

    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("{}/silent:1", silent.local_addr().unwrap());
    let words = [&*format!("pull {other}"), "wait for 127.0.0.1 to answer GET /v2/"];
    is_late!(cri, images, pull_image, pull(other.clone()), Duration::from_secs(2), &words);
    others_go_on(&node);

    registry.go_on();
    let pulled = cri.wait(client.pull_image(pull(image))).unwrap().into_inner().image_ref;
    assert_eq!(pulled, made.id);
    node.finish();
}
