use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MntFlags, umount2};
use serde_json::{Value, json};
use wharf_testkit::{request, wait_for};

const READY: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(30);
/// Where it answers without TLS: lists, stats and metrics.
pub const READ_ONLY: &str = "127.0.0.1:10255";
/// Where it answers with TLS: logs and streams.
pub const SECURE: u16 = 10250;
pub const HOSTNAME: &str = "wharf-kubelet-node";

/// Who tells it what pods and containers use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StatsFrom {
    /// CRI: the feature gate `PodAndContainerStatsFromCRI`.
    Cri,
    /// Its own cAdvisor, which asks this socket of containerd's API whose the control groups are.
    Cadvisor(PathBuf),
}

/// A kubelet without an API server: it takes its pods from a folder.
pub struct Kubelet {
    program: PathBuf,
    dir: PathBuf,
    config: Value,
    /// Heeded at the next start.
    pub stats: StatsFrom,
    child: Option<Child>,
}

impl Kubelet {
    /// Writes its configuration into `dir`; `cgroup_root` must exist in every hierarchy, with `systemd` as a slice.
    pub fn configure(program: &Path, dir: &Path, endpoint: &Path, cgroup_root: &str, systemd: bool) -> Result<Self> {
        let manifests = dir.join("manifests");
        for folder in [manifests.clone(), dir.join("root"), dir.join("cert"), dir.join("logs")] {
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let mut config = config(dir, endpoint, cgroup_root);
        if systemd {
            config["cgroupDriver"] = json!("systemd");
        }
        fs::write(dir.join("resolv.conf"), "nameserver 10.96.0.11\n").context("write resolv.conf")?;
        let (program, dir) = (program.to_owned(), dir.to_owned());
        Ok(Self { program, dir, config, stats: StatsFrom::Cri, child: None })
    }

    /// Where its static pods are put.
    pub fn manifests(&self) -> PathBuf {
        self.dir.join("manifests")
    }

    /// The certificate that it made for itself.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("cert/kubelet.crt")
    }

    /// Starts it and waits until it is healthy.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the kubelet runs already");
        self.config["featureGates"] = feature_gates(&self.stats);
        let config = self.dir.join("config.json");
        fs::write(&config, self.config.to_string()).context("write the kubelet's configuration")?;
        let path = self.dir.join("kubelet.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        let mut command = Command::new(&self.program);
        if let StatsFrom::Cadvisor(socket) = &self.stats {
            command.arg("--containerd").arg(socket);
        }
        let child = command
            .arg("--config")
            .arg(config)
            .arg("--root-dir")
            .arg(self.dir.join("root"))
            .arg("--cert-dir")
            .arg(self.dir.join("cert"))
            .args(["--hostname-override", HOSTNAME, "--v=2"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        self.child = Some(child);
        let mut ended = None;
        let healthy = wait_for(READY, || {
            ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            ended.is_some() || request("GET", "127.0.0.1:10248", "/healthz", &[], b"").is_ok_and(|r| r.status == 200)
        });
        if let Some(status) = ended {
            self.child = None;
            bail!("the kubelet ended at start: {status}");
        }
        ensure!(healthy, "the kubelet is not healthy after {READY:?}");
        Ok(())
    }

    /// Kills it: pods go on.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the kubelet does not run")?;
        child.kill().context("kill the kubelet")?;
        let mut gone = false;
        wait_for(STOP, || {
            gone = child.try_wait().is_ok_and(|status| status.is_some());
            gone
        });
        ensure!(gone, "the kubelet does not end within {STOP:?} of SIGKILL");
        Ok(())
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.dir.join("kubelet.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('I')).collect();
        format!("--- the kubelet's warnings end ---\n{}", lines[lines.len().saturating_sub(25)..].join("\n"))
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only for a process that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        // It makes its folder a mount, which could not be removed. Where it never ran there is none.
        let _ = umount2(&self.dir.join("root"), MntFlags::MNT_DETACH);
    }
}

/// `docs/kubernetes.md` tells what of it a node needs.
fn config(dir: &Path, endpoint: &Path, cgroup_root: &str) -> Value {
    let endpoint = format!("unix://{}", endpoint.display());
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": "127.0.0.1", "port": SECURE, "readOnlyPort": 10255,
        "healthzBindAddress": "127.0.0.1", "healthzPort": 10248,
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "containerRuntimeEndpoint": endpoint, "imageServiceEndpoint": endpoint,
        "cgroupDriver": "cgroupfs", "cgroupRoot": cgroup_root, "cgroupsPerQOS": true,
        "enforceNodeAllocatable": [], "failCgroupV1": false, "failSwapOn": false,
        "makeIPTablesUtilChains": false, "oomScoreAdj": 0, "protectKernelDefaults": false,
        "staticPodPath": dir.join("manifests"), "podLogsDir": dir.join("logs"),
        "fileCheckFrequency": "1s", "syncFrequency": "5s", "nodeStatusUpdateFrequency": "5s",
        "evictionHard": { "memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%" },
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local", "resolvConf": dir.join("resolv.conf"),
        "volumePluginDir": dir.join("plugins"),
    })
}

/// As in the configuration.
fn feature_gates(stats: &StatsFrom) -> Value {
    json!({ "PodAndContainerStatsFromCRI": *stats == StatsFrom::Cri })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_configuration_is_the_one_that_is_run() {
        let page = include_str!("../../../docs/kubernetes.md");
        let yaml = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let told: Value = serde_saphyr::from_str(yaml).unwrap();
        let mut run = config(Path::new("/"), Path::new("/run/wharf/wharf.sock"), "/");
        run["featureGates"] = feature_gates(&StatsFrom::Cri);
        // A folder of the test's.
        run["staticPodPath"] = told["staticPodPath"].clone();
        assert!(told["kind"] == "KubeletConfiguration", "{told}");
        for (key, value) in told.as_object().unwrap() {
            assert_eq!(run[key], *value, "{key}");
        }
    }
}
