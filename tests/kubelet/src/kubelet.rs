use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use wharf_testkit::{request, wait_for};

const READY: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(30);
/// Where it answers without TLS: lists, stats and metrics.
pub const READ_ONLY: &str = "127.0.0.1:10255";
/// Where it answers with TLS: logs and streams.
pub const SECURE: u16 = 10250;
pub const HOSTNAME: &str = "wharf-kubelet-node";

/// A kubelet without an API server: it takes its pods from a folder.
pub struct Kubelet {
    program: PathBuf,
    dir: PathBuf,
    child: Option<Child>,
}

impl Kubelet {
    /// Writes its configuration into `dir`; `cgroup_root` must exist in every hierarchy.
    pub fn configure(program: &Path, dir: &Path, endpoint: &Path, cgroup_root: &str) -> Result<Self> {
        let this = Self { program: program.to_owned(), dir: dir.to_owned(), child: None };
        for folder in [this.manifests(), dir.join("root"), dir.join("cert"), dir.join("logs")] {
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let endpoint = format!("unix://{}", endpoint.display());
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "address": "127.0.0.1", "port": SECURE, "readOnlyPort": 10255,
            "healthzBindAddress": "127.0.0.1", "healthzPort": 10248,
            "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
            "authorization": { "mode": "AlwaysAllow" },
            "containerRuntimeEndpoint": endpoint, "imageServiceEndpoint": endpoint,
            "cgroupDriver": "cgroupfs", "cgroupRoot": cgroup_root, "cgroupsPerQOS": true,
            "enforceNodeAllocatable": [], "failCgroupV1": false, "failSwapOn": false,
            "makeIPTablesUtilChains": false, "oomScoreAdj": 0, "protectKernelDefaults": false,
            "staticPodPath": this.manifests(), "podLogsDir": dir.join("logs"),
            "fileCheckFrequency": "1s", "syncFrequency": "5s", "nodeStatusUpdateFrequency": "5s",
            "evictionHard": { "memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%" },
            "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
            "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local", "resolvConf": dir.join("resolv.conf"),
            "featureGates": { "PodAndContainerStatsFromCRI": true },
            "volumePluginDir": dir.join("plugins"),
        });
        fs::write(dir.join("resolv.conf"), "nameserver 10.96.0.11\n").context("write resolv.conf")?;
        fs::write(dir.join("config.json"), config.to_string()).context("write the kubelet's configuration")?;
        Ok(this)
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
        let path = self.dir.join("kubelet.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        let child = Command::new(&self.program)
            .arg("--config")
            .arg(self.dir.join("config.json"))
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
    }
}
