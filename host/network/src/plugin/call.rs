use std::{
    ffi::OsStr,
    fmt, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Value};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_steps::step;

use super::{find::find, group::Group, output::Output, said, stray::OWNER};
use crate::{conf::plugin_type, request::Target, version::Version};

/// The longest result.
const STDOUT: usize = 1 << 20;
/// What is kept of its messages.
const STDERR: usize = 64 << 10;
/// How long a question may take that changes nothing.
const QUESTION: Duration = Duration::from_secs(10);
/// How long a killed plugin may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// What a plugin can be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verb {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

/// One question to one plugin.
pub(crate) struct Call<'a> {
    pub(crate) verb: Verb,
    pub(crate) network: &'a str,
    pub(crate) version: Version,
    /// The plugin as it stands in the network's configuration.
    pub(crate) plugin: &'a Map<String, Value>,
    /// The pod, and the name of its interface, for the verbs about one.
    pub(crate) target: Option<(&'a Target, &'a str)>,
    /// Further keys of the configuration, such as `prevResult`.
    pub(crate) extra: Map<String, Value>,
}

/// Where plugins are, and how they are run. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Plugins {
    folders: Arc<[PathBuf]>,
    deadline: Duration,
    /// By which a later daemon knows the plugins that this one left running.
    owner: Arc<str>,
}

// === impl Plugins ===

impl Plugins {
    pub(crate) fn new(folders: Vec<PathBuf>, deadline: Duration, owner: &str) -> Self {
        Self { folders: folders.into(), deadline, owner: owner.into() }
    }

    /// Runs the plugin; answers what it printed.
    ///
    /// # Errors
    ///
    /// Named after network, plugin and verb: `DeadlineExceeded`, and the plugin is killed with its group;
    /// `FailedPrecondition` where it is not there; else what it says.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Vec<u8>> {
        let what = format!("network {}: plugin {}: {}", call.network, plugin_type(call.plugin), call.verb);
        let name = what.clone();
        step(move || name.clone(), self.run(call)).await.step(|| what)
    }

    /// Whether the plugin's program is there.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` where it is not.
    pub(crate) async fn find(&self, call: &Call<'_>) -> Result<PathBuf> {
        let name = plugin_type(call.plugin);
        find(&self.folders, name).await.step(|| format!("network {}: plugin {name}", call.network))
    }

    async fn run(&self, call: &Call<'_>) -> Result<Vec<u8>> {
        let program = find(&self.folders, plugin_type(call.plugin)).await?;
        let deadline = call.verb.deadline(self.deadline);
        let mut command = self.command(&program, call)?;
        let mut child = start(&mut command).await.step(|| format!("run {}", program.display()))?;
        // One that changes something comes to its end although the daemon is told to stop: the next one waits for it.
        let mut group = Group::of(child.id(), !call.verb.changes());
        let stdout = Output::gather(child.stdout.take(), STDOUT);
        let stderr = Output::gather(child.stderr.take(), STDERR);
        let asked = call.configuration();
        let work = async {
            feed(&mut child, &asked).await;
            child.wait().await
        };
        let Ok(status) = tokio::time::timeout(deadline, work).await else {
            group.kill();
            if tokio::time::timeout(GONE, child.wait()).await.is_ok() {
                group.ended();
            }
            let said = said::plain(&String::from_utf8_lossy(&stderr.finish().await.bytes));
            let said = if said.is_empty() { said } else { format!("; its last words: {said}") };
            return Err(Error::new(
                Kind::DeadlineExceeded,
                format!("it was not done within {deadline:?} and was killed{said}"),
            )
            .hint("it can be tried again; [network] plugin_timeout is how long a plugin may take"));
        };
        group.ended();
        let status = status.step(|| "wait for its end".into())?;
        let (stdout, stderr) = (stdout.finish().await, stderr.finish().await);
        if !status.success() {
            return Err(said::failure(status, &stdout, &stderr));
        }
        if stdout.cut {
            return Err(Error::new(Kind::Unknown, format!("it printed more than {STDOUT} bytes")));
        }
        Ok(stdout.bytes)
    }

    fn command(&self, program: &Path, call: &Call<'_>) -> Result<Command> {
        let path = std::env::join_paths(self.folders.iter()).step(|| "[network] cni_bin_dirs as CNI_PATH".into())?;
        let mut command = Command::new(program);
        // Plugins look at the node's environment (proxies, PATH); the daemon's own affairs are not theirs.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_private(name)) {
            command.env_remove(name);
        }
        command.env("CNI_COMMAND", call.verb.as_str()).env("CNI_PATH", path).env(OWNER, &*self.owner);
        if let Some((target, interface)) = call.target {
            command.env("CNI_CONTAINERID", &target.pod).env("CNI_NETNS", &target.netns);
            command.env("CNI_IFNAME", interface).env("CNI_ARGS", &target.args);
        }
        command.current_dir("/").process_group(0).kill_on_drop(!call.verb.changes());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

// === impl Call ===

impl Call<'_> {
    /// The plugin's configuration with what is said anew in each call.
    fn configuration(&self) -> Vec<u8> {
        let mut all = self.plugin.clone();
        all.insert("name".into(), self.network.into());
        all.insert("cniVersion".into(), self.version.as_str().into());
        if let Some((target, _)) = self.target {
            let wanted = self.plugin.get("capabilities").and_then(Value::as_object);
            let wanted = wanted.into_iter().flatten().filter(|(_, wanted)| **wanted == true);
            let given = wanted.filter_map(|(name, _)| Some((name.clone(), target.capabilities.get(name)?.clone())));
            let given: Map<_, _> = given.collect();
            if !given.is_empty() {
                all.insert("runtimeConfig".into(), given.into());
            }
        }
        all.extend(self.extra.clone());
        Value::Object(all).to_string().into_bytes()
    }
}

// === impl Verb ===

impl Verb {
    /// Whether it leaves anything behind.
    fn changes(self) -> bool {
        matches!(self, Self::Add | Self::Del | Self::Gc)
    }

    /// Somebody waits for the answer of those that change nothing.
    fn deadline(self, configured: Duration) -> Duration {
        match self {
            Self::Check | Self::Status | Self::Version => configured.min(QUESTION),
            Self::Add | Self::Del | Self::Gc => configured,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A program that is being replaced, or was written a moment ago, may be busy for some milliseconds.
async fn start(command: &mut Command) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 20 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
}

/// A plugin that does not read its configuration to the end has its reasons, and says them.
async fn feed(child: &mut Child, text: &[u8]) {
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(text).await
    {
        tracing::debug!(%error, "a network plugin did not read its configuration");
    }
}

fn is_private(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name.starts_with("CNI_") || ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC"].contains(&name)
    })
}
