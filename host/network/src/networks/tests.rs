use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;
use wharf_error::Kind;
use wharf_store::Store;

use crate::{Mode, NetworkConfig, NetworkRequest, Networks, PodName, plugin::script};

/// A node with a store, a folder of plugins and one of configurations.
struct Node {
    dir: TempDir,
}

/// Keeps an address in a file as an IPAM plugin does, and counts.
const KEEPER: &str = r#"
conf=$(cat); echo "$CNI_COMMAND $CNI_IFNAME $CNI_NETNS" >> HERE/log
case $CNI_COMMAND in
ADD) [ -e HERE/no-address ] && { echo '{"cniVersion":"1.1.0"}'; exit 0; }
     [ -e HERE/fail-add ] && { echo '{"code":100,"msg":"told to fail"}'; exit 1; }
     set -C; echo x > HERE/kept-$CNI_CONTAINERID-$CNI_IFNAME || exit 1
     echo '{"cniVersion":"1.1.0","interfaces":[{"name":"'$CNI_IFNAME'","sandbox":"'$CNI_NETNS'"}],"ips":[{"address":"fd00::9/64","interface":0},{"address":"10.0.0.9/24","interface":0}]}' ;;
DEL) [ -e HERE/gone ] && { echo '{"code":999,"msg":"link eth0: No such file or directory"}' | tr N n; exit 1; }
     [ -e HERE/fail-del ] && { echo '{"code":100,"msg":"cannot let go"}'; exit 1; }
     rm -f HERE/kept-$CNI_CONTAINERID-$CNI_IFNAME ;;
STATUS) [ ! -e HERE/fail-status ] || { echo '{"code":50,"msg":"no uplink"}'; exit 1; } ;;
GC) echo "$conf" > HERE/gc ;;
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}' ;;
esac
"#;

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("net.d")).unwrap();
        script(dir.path(), "keeper", &KEEPER.replace("HERE", &dir.path().display().to_string()));
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self, file: &str) {
        let text = r#"{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"keeper"}]}"#;
        fs::write(self.path("net.d").join(file), text).unwrap();
    }

    fn store(&self) -> Store {
        Store::open(&self.path("meta.redb"), &self.path("state.redb")).unwrap()
    }

    async fn open(&self, store: &Store) -> Networks {
        self.open_with(store, |_| {}).await
    }

    async fn open_with(&self, store: &Store, change: impl FnOnce(&mut NetworkConfig)) -> Networks {
        let mut config = NetworkConfig {
            conf_dir: self.path("net.d"),
            bin_dirs: vec![self.dir.path().to_owned()],
            ..NetworkConfig::default()
        };
        change(&mut config);
        Networks::open(config, store.clone()).await.unwrap()
    }

    fn kept(&self) -> Vec<String> {
        let names =
            fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut kept: Vec<_> = names.filter_map(|name| name.strip_prefix("kept-").map(str::to_owned)).collect();
        kept.sort();
        kept
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().filter(|line| !line.starts_with("VERSION")).collect::<Vec<_>>().join("\n")
    }
}

async fn attach(networks: &Networks, pod: &str) -> wharf_error::Result<Vec<String>> {
    let netns = PathBuf::from(format!("/run/netns/unit-{pod}"));
    let ips = networks.attach(pod, netns, &PodName::default(), &NetworkRequest::default()).await?;
    Ok(ips.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn a_pod_is_attached_once_and_let_go_once() {
    let node = Node::new();
    node.configure("10-a.conflist");
    node.configure("20-b.conflist");
    let networks = node.open_with(&node.store(), |config| config.max_networks = 2).await;
    assert_eq!(attach(&networks, "p").await.unwrap(), ["10.0.0.9", "fd00::9"]);
    assert_eq!(node.kept(), ["p-eth0", "p-eth1"]);
    assert!(networks.holds("p") && networks.addresses("p").len() == 2);
    networks.detach("p").await.unwrap();
    networks.detach("p").await.unwrap();
    assert!(node.kept().is_empty() && !networks.holds("p") && networks.addresses("p").is_empty());
    // The namespace of this test never was one: a DEL is not told of it.
    let netns = "/run/netns/unit-p";
    assert_eq!(node.log(), format!("ADD eth0 {netns}\nADD eth1 {netns}\nDEL eth1 \nDEL eth0 "));
}

#[tokio::test]
async fn without_configuration_pods_are_refused_until_there_is_one() {
    let node = Node::new();
    let networks = node.open(&node.store()).await;
    let error = networks.ready().await.unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(error.to_string().contains("cni plugin not initialized: no network configuration in"), "{error}");
    let status = networks.status().await;
    assert!(!status.ready && status.reason == "NetworkPluginNotReady", "{status:?}");
    assert!(attach(&networks, "p").await.is_err() && !networks.holds("p"));
    node.configure("10-a.conflist");
    wait(|| async { networks.status().await.ready }).await;
    attach(&networks, "p").await.unwrap();
    fs::remove_file(node.path("net.d/10-a.conflist")).unwrap();
    wait(|| async { !networks.status().await.ready }).await;
    // What is attached is let go as it was attached.
    networks.detach("p").await.unwrap();
    assert!(node.kept().is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_configuration_or_plugins_is_the_reason() {
    let node = Node::new();
    node.configure("10-a.conflist");
    let networks = node.open(&node.store()).await;
    let status = networks.status().await;
    assert!(status.ready && status.message.contains("net (CNI 1.1.0: keeper, from"), "{status:?}");
    fs::write(node.path("net.d/00-broken.conf"), "{").unwrap();
    wait(|| async { networks.status().await.message.contains("00-broken.conf") }).await;
    fs::write(node.path("net.d/00-broken.conf"), r#"{"cniVersion":"1.0.0","name":"x","type":"missing"}"#).unwrap();
    wait(|| async { networks.status().await.message.contains("no program \"missing\"") }).await;
    // A plugin that comes later is found, although nobody watches its folder.
    fs::copy(node.path("keeper"), node.path("missing")).unwrap();
    wait(|| async { networks.status().await.ready }).await;
}

#[tokio::test]
async fn a_plugins_own_word_on_its_state_is_the_nodes() {
    let node = Node::new();
    node.configure("10-a.conflist");
    fs::write(node.path("fail-status"), "").unwrap();
    let networks = node.open(&node.store()).await;
    let status = networks.status().await;
    assert!(!status.ready && status.message.contains("STATUS: no uplink"), "{status:?}");
}

#[tokio::test]
async fn a_failed_attachment_is_undone_and_a_failed_release_is_repeated() {
    let node = Node::new();
    node.configure("10-a.conflist");
    let networks = node.open(&node.store()).await;
    fs::write(node.path("fail-add"), "").unwrap();
    let error = attach(&networks, "p").await.unwrap_err().to_string();
    assert_eq!(error, "network net: plugin keeper: ADD: told to fail (CNI error 100)");
    assert!(networks.holds("p") && networks.addresses("p").is_empty());
    networks.detach("p").await.unwrap();
    fs::remove_file(node.path("fail-add")).unwrap();
    attach(&networks, "p").await.unwrap();
    fs::write(node.path("fail-del"), "").unwrap();
    let error = networks.detach("p").await.unwrap_err().to_string();
    assert_eq!(error, "network net: plugin keeper: DEL: cannot let go (CNI error 100)");
    assert!(networks.holds("p"));
    fs::remove_file(node.path("fail-del")).unwrap();
    networks.detach("p").await.unwrap();
    assert!(node.kept().is_empty());
}

#[tokio::test]
async fn an_attachment_without_an_address_is_none() {
    let node = Node::new();
    node.configure("10-a.conflist");
    let networks = node.open(&node.store()).await;
    fs::write(node.path("no-address"), "").unwrap();
    let error = attach(&networks, "p").await.unwrap_err().to_string();
    assert!(error.starts_with("network net: ADD: it gave no address to eth0"), "{error}");
    networks.detach("p").await.unwrap();
    assert!(!networks.holds("p"));
}

#[tokio::test]
async fn a_plugin_that_fails_at_what_is_gone_has_done_it() {
    let node = Node::new();
    node.configure("10-a.conflist");
    let networks = node.open(&node.store()).await;
    attach(&networks, "p").await.unwrap();
    fs::write(node.path("gone"), "").unwrap();
    // No namespace of this name is there, as after a boot.
    networks.detach("p").await.unwrap();
    assert!(!networks.holds("p"));
}

#[tokio::test]
async fn what_a_killed_daemon_had_begun_is_in_the_books_of_the_next() {
    let node = Node::new();
    node.configure("10-a.conflist");
    let store = node.store();
    let networks = node.open(&store).await;
    attach(&networks, "gone").await.unwrap();
    attach(&networks, "kept").await.unwrap();
    drop(networks);
    let networks = node.open(&store).await;
    assert_eq!(networks.addresses("kept").len(), 2);
    networks.collect(|pod| pod == "kept").await;
    assert_eq!(node.kept(), ["kept-eth0"]);
    let told = fs::read_to_string(node.path("gc")).unwrap();
    assert!(told.contains(r#""cni.dev/valid-attachments":[{"containerID":"kept","ifname":"eth0"}]"#), "{told}");
}

#[tokio::test]
async fn an_attachment_that_is_in_the_books_already_is_undone_before_it_is_made_anew() {
    let node = Node::new();
    node.configure("10-a.conflist");
    let networks = node.open(&node.store()).await;
    attach(&networks, "p").await.unwrap();
    // The plugin refuses to keep a second address.
    attach(&networks, "p").await.unwrap();
    assert_eq!(node.kept(), ["p-eth0"]);
}

#[tokio::test]
async fn the_nodes_range_of_addresses_outlives_the_daemon() {
    let node = Node::new();
    let store = node.store();
    let networks = node.open(&store).await;
    networks.set_pod_cidr("10.1.0.0/24, fd00::/64").await.unwrap();
    for wrong in ["10.1.0.0", "10.1.0.0/33", "fd00::/129", "x/8"] {
        assert_eq!(networks.set_pod_cidr(wrong).await.unwrap_err().kind(), Kind::InvalidArgument, "{wrong}");
    }
    networks.set_pod_cidr("").await.unwrap();
    drop(networks);
    let networks = node.open(&store).await;
    assert_eq!(*networks.inner.pod_cidr.read().unwrap(), "10.1.0.0/24,fd00::/64");
}

#[tokio::test]
async fn loopback_alone_asks_no_plugin() {
    let node = Node::new();
    let networks = node.open_with(&node.store(), |config| config.mode = Mode::Loopback).await;
    assert!(networks.status().await.ready);
    networks.ready().await.unwrap();
    assert!(attach(&networks, "p").await.unwrap().is_empty() && !networks.holds("p"));
    assert_eq!(node.log(), "");
}

async fn wait<F: Future<Output = bool>>(mut done: impl FnMut() -> F) {
    for _ in 0..1000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came to be");
}
