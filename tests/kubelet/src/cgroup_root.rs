use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::{make_cgroup, remove_cgroup};

/// What a kubelet has below its root when systemd makes it.
const SLICE: &str = "kubepods.slice";

/// The control group below which a kubelet has all of its own.
pub enum CgroupRoot {
    /// One of this run's, by its path.
    Own(String),
    /// The node's: systemd hands not every controller that a kubelet asks for down to a slice.
    Systemd,
}

impl CgroupRoot {
    /// Makes one with this name, or takes the node's.
    pub fn make(name: &str, systemd: bool) -> Result<Self> {
        if systemd {
            return Ok(Self::Systemd);
        }
        let path = format!("/{name}");
        make_cgroup(&path)?;
        Ok(Self::Own(path))
    }

    pub fn path(&self) -> &str {
        match self {
            Self::Own(path) => path,
            Self::Systemd => "/",
        }
    }

    /// Removes it with what the kubelet made below: a kubelet never does. What still runs there is an error.
    pub fn remove(&self) -> Result<()> {
        match self {
            Self::Own(path) => ensure!(remove_cgroup(path), "cgroup {path} is still in use"),
            Self::Systemd => {
                let pods = systemctl(&["list-units", "--plain", "--no-legend", "wharf-*.scope"])?;
                if systemctl(&["show", "--value", "-p", "LoadState", SLICE])? != "not-found" {
                    systemctl(&["stop", SLICE])?;
                }
                ensure!(pods.is_empty(), "left behind: {pods}");
            }
        }
        Ok(())
    }
}

fn systemctl(arguments: &[&str]) -> Result<String> {
    let out = Command::new("systemctl").args(arguments).output().context("start systemctl")?;
    ensure!(out.status.success(), "systemctl {arguments:?}: {}", String::from_utf8_lossy(&out.stderr).trim());
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
