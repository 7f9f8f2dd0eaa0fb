use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use wharf_testkit::{BridgeNetwork, Daemon, DaemonOptions, Leaks};

use crate::{arguments::Arguments, images::REGISTRIES};

/// The runtime that is judged: a private daemon, or one that runs already.
pub enum Node {
    Own { daemon: Box<Daemon>, leaks: Box<Leaks>, _dir: TempDir },
    Reference { endpoint: PathBuf },
}

impl Node {
    /// Starts a daemon, which finds `programs` too, or tells a running one where the images are.
    pub fn start(arguments: &Arguments, registry: &str, programs: Option<&Path>) -> Result<Self> {
        if let (Some(endpoint), Some(certs_d)) = (&arguments.endpoint, &arguments.certs_d) {
            for host in REGISTRIES {
                let dir = certs_d.join(host);
                fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
                let text = format!("[host.\"http://{registry}\"]\ncapabilities = [\"pull\", \"resolve\"]\n");
                fs::write(dir.join("hosts.toml"), text)
                    .with_context(|| format!("write {}/hosts.toml", dir.display()))?;
            }
            return Ok(Self::Reference { endpoint: endpoint.clone() });
        }
        let more = match &arguments.config {
            Some(file) => fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?,
            None => String::new(),
        };
        let dir = tempfile::Builder::new().prefix("wharf-critest-").tempdir().context("make a folder")?;
        let network = BridgeNetwork::describe(dir.path())?;
        let (name, mut path) = network.environment();
        if let Some(programs) = programs {
            path = format!("{}:{path}", programs.display());
        }
        let options = DaemonOptions {
            name: "critest".into(),
            mirrors: REGISTRIES.iter().map(|host| ((*host).to_owned(), registry.to_owned())).collect(),
            config: format!("{}\n{more}", network.config()),
            environment: vec![(name, path)],
            ..DaemonOptions::default()
        };
        let daemon = Box::new(Daemon::start(&options)?);
        let leaks = Box::new(Leaks::watch(daemon.scope()));
        Ok(Self::Own { daemon, leaks, _dir: dir })
    }

    /// Its socket.
    pub fn endpoint(&self) -> PathBuf {
        match self {
            Self::Own { daemon, .. } => daemon.socket(),
            Self::Reference { endpoint } => endpoint.clone(),
        }
    }

    /// The end of the log of a daemon of ours.
    pub fn log_tail(&self) -> String {
        match self {
            Self::Own { daemon, .. } => daemon.log_tail(60),
            Self::Reference { .. } => String::new(),
        }
    }

    /// Ends a daemon of ours, and looks for what should be gone. critest removes its pods and leaves images.
    pub fn finish(self) -> Result<()> {
        let Self::Own { mut daemon, leaks, _dir } = self else { return Ok(()) };
        daemon.stop()?;
        let alive = daemon.scope().alive();
        ensure!(alive.is_empty(), "left behind after critest:\n  {}", alive.join("\n  "));
        ensure!(no_pods(&daemon.state()), "folders of pods are left in {}", daemon.state().display());
        drop(leaks);
        Ok(())
    }
}

fn no_pods(state: &Path) -> bool {
    fs::read_dir(state.join("pods")).map_or(true, |mut pods| pods.next().is_none())
}
