use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_testkit::{BridgeNetwork, Daemon, DaemonOptions, DockerRegistry, Image, Kind, Layer, request, wait_for};

use crate::{
    Arguments,
    cgroup_root::CgroupRoot,
    client::Client,
    kubelet::{HOSTNAME, Kubelet, READ_ONLY},
};

const REGISTRY: &str = "images.test";
const CHANGE: Duration = Duration::from_secs(120);
pub const IMAGE: &str = "images.test/busybox:1";

/// Registry, runtime and kubelet.
pub struct Node {
    pub kubelet: Kubelet,
    /// `None` for a reference, which is not ours to restart.
    pub daemon: Option<Daemon>,
    /// Where containerd's API is served: beside CRI, or by a reference on the same socket.
    pub containerd: PathBuf,
    cgroup: CgroupRoot,
    dir: TempDir,
    _registry: DockerRegistry,
}

impl Node {
    /// Starts all of it.
    pub fn start(arguments: &Arguments, layers: &[Layer]) -> Result<Self> {
        let registry = DockerRegistry::start()?;
        let image = Image::new(Kind::OciIndex, layers, &json!({ "Cmd": ["sh"] }))?;
        registry.push("busybox", "1", &image)?;
        let dir = tempfile::Builder::new().prefix("wharf-kubelet-").tempdir().context("make a folder")?;
        let name = dir.path().file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let (daemon, endpoint) = match (&arguments.endpoint, &arguments.certs_d) {
            (Some(endpoint), certs_d) => {
                if let Some(certs_d) = certs_d {
                    mirror(certs_d, registry.address())?;
                }
                (None, endpoint.clone())
            }
            (None, _) => {
                let network = BridgeNetwork::describe(dir.path())?;
                let daemon = Daemon::start(&DaemonOptions {
                    name: "kubelet".into(),
                    mirrors: vec![(REGISTRY.into(), registry.address().to_owned())],
                    config: network.config(),
                    environment: vec![network.environment()],
                    systemd: arguments.systemd,
                    ..DaemonOptions::default()
                })?;
                let socket = daemon.socket();
                (Some(daemon), socket)
            }
        };
        let cgroup = CgroupRoot::make(&name, arguments.systemd)?;
        let kubelet = Kubelet::configure(&arguments.kubelet, dir.path(), &endpoint, cgroup.path(), arguments.systemd)?;
        let containerd = daemon.as_ref().map_or(endpoint, |daemon| daemon.state().join("containerd.sock"));
        let mut node = Self { kubelet, daemon, containerd, cgroup, dir, _registry: registry };
        if let Err(error) = node.kubelet.start() {
            bail!("{error:#}\n{}", node.log_tails());
        }
        Ok(node)
    }

    /// A folder for what a scenario writes.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Gives the kubelet a static pod; its spec as in a manifest.
    pub fn add(&self, name: &str, spec: Value) -> Result<()> {
        self.add_with(name, json!({}), spec)
    }

    /// As [`Node::add`] with annotations.
    pub fn add_with(&self, name: &str, annotations: Value, spec: Value) -> Result<()> {
        let manifest = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": "default", "labels": { "app": name }, "annotations": annotations },
            "spec": spec,
        });
        let path = self.manifest(name);
        // Whole at once: the kubelet may look at any moment.
        let part = self.dir.path().join("manifest.part");
        fs::write(&part, manifest.to_string()).with_context(|| format!("write {}", part.display()))?;
        fs::rename(&part, &path).with_context(|| format!("put {} there", path.display()))
    }

    /// Takes a static pod away.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.manifest(name);
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }

    /// The pod as the kubelet tells it, if it has it.
    pub fn pod(&self, name: &str) -> Result<Option<Value>> {
        let whole = format!("{name}-{HOSTNAME}");
        let pods = self.get("/pods")?;
        Ok(pods["items"]
            .as_array()
            .and_then(|items| items.iter().find(|pod| pod["metadata"]["name"] == whole.as_str()))
            .cloned())
    }

    /// Waits until the pod is as `wanted` says; the pod then.
    pub fn wait(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let seen = wait_for(CHANGE, || {
            // The kubelet may be on its way up again.
            last = self.pod(name).ok().flatten().unwrap_or(Value::Null);
            wanted(&last)
        });
        ensure!(seen, "pod {name} is not {what} after {CHANGE:?}; its status: {}", last["status"]);
        Ok(last)
    }

    /// A document of the kubelet's own.
    pub fn get(&self, path: &str) -> Result<Value> {
        let text = self.text(path)?;
        serde_json::from_str(&text).with_context(|| format!("{path}: no JSON: {text}"))
    }

    /// A page of the kubelet's own.
    pub fn text(&self, path: &str) -> Result<String> {
        let answer = request("GET", READ_ONLY, path, &[], b"")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == 200, "{path}: {} {text}", answer.status);
        Ok(text)
    }

    /// What only its TLS port serves: logs and streams.
    pub fn client(&self) -> Result<Client> {
        Client::new(&self.kubelet.certificate())
    }

    /// Waits until the kubelet knows no pod, and none is ready in the runtime. The records of those that were stay until
    /// the kubelet collects them, once a minute; [`Node::finish`] waits for that.
    pub fn no_pods(&self) -> Result<()> {
        let mut left = String::new();
        let gone = wait_for(CHANGE, || {
            let pods = self.get("/pods").unwrap_or(Value::Null);
            let known = pods["items"].as_array().map_or(0, Vec::len);
            let ready = self.ready_pods();
            left = format!("{known} pods of the kubelet, ready: {ready:?}");
            // A kubelet without pods says `null`.
            pods.is_object() && known == 0 && ready.is_ok_and(|ready| ready.is_empty())
        });
        ensure!(gone, "left after {CHANGE:?}: {left}");
        Ok(())
    }

    // What the runtime of ours says; of a reference, what it keeps is its own.
    fn ready_pods(&self) -> Result<Vec<String>> {
        let Some(daemon) = &self.daemon else { return Ok(Vec::new()) };
        let out = daemon.wharf(&["pods", "--json"]).output().context("start wharf pods")?;
        ensure!(out.status.success(), "wharf pods: {}", String::from_utf8_lossy(&out.stderr).trim());
        let pods: Vec<Value> = serde_json::from_slice(&out.stdout).context("understand wharf pods")?;
        Ok(pods.iter().filter(|pod| pod["state"] == "ready").map(|pod| pod["id"].to_string()).collect())
    }

    // What is dead is collected by the kubelet, containers first.
    fn collected(&self) -> Result<()> {
        let mut left = Vec::new();
        let gone = wait_for(CHANGE, || {
            left = self.daemon.iter().flat_map(|daemon| folders(&daemon.state().join("pods"))).collect();
            left.is_empty()
        });
        ensure!(gone, "left after {CHANGE:?}: {left:?}");
        Ok(())
    }

    /// Takes every static pod away, after a failure.
    pub fn remove_all(&self) -> Result<()> {
        for manifest in folders(&self.kubelet.manifests()) {
            fs::remove_file(&manifest).with_context(|| format!("remove {}", manifest.display()))?;
        }
        self.no_pods()
    }

    /// The ends of both logs.
    pub fn log_tails(&self) -> String {
        let daemon = self.daemon.as_ref().map(|daemon| daemon.log_tail(30)).unwrap_or_default();
        format!("{}\n{daemon}", self.kubelet.log_tail())
    }

    /// Ends all of it and looks for what should be gone.
    pub fn finish(mut self, keep: Option<&Path>) -> Result<()> {
        let removed = self.remove_all().and_then(|()| self.collected());
        self.kubelet.kill()?;
        if let Some(keep) = keep {
            fs::create_dir_all(keep).with_context(|| format!("make {}", keep.display()))?;
            let logs = std::iter::once(self.dir.path().join("kubelet.log"))
                .chain(self.daemon.iter().map(wharf_testkit::Daemon::log_path));
            for log in logs {
                let to = keep.join(log.file_name().unwrap_or_default());
                fs::copy(&log, &to).with_context(|| format!("keep {}", log.display()))?;
            }
        }
        let mut left = Vec::new();
        if let Some(daemon) = &mut self.daemon {
            daemon.stop()?;
            left = daemon.scope().alive();
        }
        // kubepods and what it made below are the kubelet's: a kubelet never removes them.
        self.cgroup.remove()?;
        removed?;
        ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        let folder = self.dir.path().to_owned();
        drop(self);
        ensure!(!folder.exists(), "{} is left behind", folder.display());
        Ok(())
    }

    fn manifest(&self, name: &str) -> PathBuf {
        self.kubelet.manifests().join(format!("{name}.json"))
    }
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn mirror(certs_d: &Path, address: &str) -> Result<()> {
    let dir = certs_d.join(REGISTRY);
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let text = format!("[host.\"http://{address}\"]\ncapabilities = [\"pull\", \"resolve\"]\n");
    fs::write(dir.join("hosts.toml"), text).with_context(|| format!("write {}/hosts.toml", dir.display()))
}
