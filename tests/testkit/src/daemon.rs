use std::{
    fmt::Write as _,
    fs::{self, File},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    cgroups, compiled, leaks::Scope, mounts::MountNs, netns::NetNs, process::processes, wait::wait_for,
    work_dir::WorkDir,
};

/// A first start compiles plugins, which an interpreted guest does for minutes.
const READY: Duration = Duration::from_secs(240);
const STOP: Duration = Duration::from_secs(20);
const NETNS: &str = "/run/netns";

/// What differs from one private daemon to the next.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// A word of the temporary folders' names.
    pub name: String,
    /// Mirrors: (registry host of the image's name, `host:port` that answers for it by plain HTTP).
    pub mirrors: Vec<(String, String)>,
    /// More lines of the table `[cri]`.
    pub cri: String,
    /// More TOML, after the tables `[cri]`, `[registry]` and `[log]`. Without a table `[network]` pods have their loopback
    /// alone.
    pub config: String,
    /// `error` to `trace`, or a filter by crate. It must be enough for the log to name each pod: a leak is known by it.
    pub log_level: String,
    /// More environment.
    pub environment: Vec<(String, String)>,
    /// The network that it runs in; none: the machine's.
    pub network: Option<NetNs>,
    /// The mounts that it sees; none: the machine's.
    pub mounts: Option<MountNs>,
    /// The folder of what outlives a reboot, which stays and may be there already; else a temporary one.
    pub at: Option<PathBuf>,
    /// The daemon's name beside this program: an armed one has another.
    pub program: String,
    /// Whether systemd makes its cgroups, in a slice of its own.
    pub systemd: bool,
}

impl Default for DaemonOptions {
    fn default() -> Self {
        Self {
            name: "test".into(),
            mirrors: Vec::new(),
            cri: String::new(),
            config: String::new(),
            log_level: "debug,h2=info,hyper=info,loona_hpack=info,tower=info".into(),
            environment: Vec::new(),
            network: None,
            mounts: None,
            at: None,
            program: "wharf".into(),
            systemd: false,
        }
    }
}

/// A private `wharf daemon` in temporary folders, with a cgroup of its own, from the binaries beside this program.
///
/// On drop everything is ended that belongs to it: the daemon, its shims, their containers, cgroups and namespaces.
#[derive(Debug)]
pub struct Daemon {
    child: Option<Child>,
    wharf: PathBuf,
    config: PathBuf,
    cgroup_parent: String,
    environment: Vec<(String, String)>,
    network: Option<NetNs>,
    mounts: Option<MountNs>,
    /// Holds the boot's id that it is shown; none: the machine's.
    boot: Option<PathBuf>,
    // Last: removed after all that stands in them has ended.
    dirs: WorkDir,
}

impl Daemon {
    /// The folder of the built binaries: `$WHARF_BIN_DIR`, else the nearest above this program that holds `wharf`.
    ///
    /// # Errors
    ///
    /// When they are not built.
    pub fn bin_dir() -> Result<PathBuf> {
        if let Some(dir) = std::env::var_os("WHARF_BIN_DIR") {
            return Ok(dir.into());
        }
        let me = std::env::current_exe().context("find this program")?;
        me.ancestors().skip(1).find(|dir| dir.join("wharf").is_file()).map(Path::to_owned).with_context(|| {
            format!("no `wharf` in a folder above {}: build it first (cargo xtask build)", me.display())
        })
    }

    /// Starts a daemon and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// When it is not built, ends, or does not answer in time, with the end of its log.
    pub fn start(options: &DaemonOptions) -> Result<Self> {
        let wharf = Self::bin_dir()?.join(&options.program);
        let dirs = match &options.at {
            Some(root) => WorkDir::at(root)?,
            None => WorkDir::new(&options.name)?,
        };
        let mut cgroup_parent = format!("/{}", dirs.unique());
        if options.systemd {
            // With a dash it would be in another's slice.
            cgroup_parent = format!("{}.slice", cgroup_parent.replace('-', "_"));
        }
        let config = dirs.root().join("config.toml");
        let certs = dirs.root().join("certs.d");
        for (host, address) in &options.mirrors {
            let dir = certs.join(host);
            fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
            // As the upstream too, or what it does not have would be asked of a host that is nowhere.
            let upstream = format!("http://{address}");
            let text =
                format!("server = {upstream:?}\n\n[host.{upstream:?}]\ncapabilities = [\"pull\", \"resolve\"]\n");
            fs::write(dir.join("hosts.toml"), text).context("write hosts.toml")?;
        }
        let mut text = String::new();
        writeln!(text, "[log]\nlevel = {:?}\n", options.log_level)?;
        let driver = if options.systemd { "systemd" } else { "cgroupfs" };
        writeln!(text, "[cri]\ncgroup_driver = {driver:?}\ncgroup_parent = {cgroup_parent:?}\n{}\n", options.cri)?;
        if !options.config.contains("[network]") {
            // A machine of tests has no network plugins; most tests need none.
            writeln!(text, "[network]\nmode = \"loopback\"\n")?;
        }
        writeln!(text, "[registry]\ncerts_d = {certs:?}\n\n{}", options.config)?;
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let (environment, network, mounts) =
            (options.environment.clone(), options.network.clone(), options.mounts.clone());
        let mut daemon =
            Self { child: None, wharf, config, cgroup_parent, environment, network, mounts, boot: None, dirs };
        compiled::lend(&daemon.root())?;
        daemon.launch()?;
        compiled::keep(&daemon.root())?;
        Ok(daemon)
    }

    /// Starts it again after [`Daemon::kill`] or [`Daemon::stop`], on the same folders.
    ///
    /// # Errors
    ///
    /// When it runs already, ends, or does not answer in time.
    pub fn launch(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait_ready()
    }

    /// The first half of [`Daemon::launch`]: its process, whatever becomes of it.
    ///
    /// # Errors
    ///
    /// When it runs already, or cannot be started.
    pub fn spawn(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the daemon runs already");
        let log = File::options().create(true).append(true).open(self.log_path()).context("open the daemon's log")?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut start = || match &self.network {
            Some(network) => network.run(|| command.spawn())?.context("start it"),
            None => command.spawn().context("start it"),
        };
        let child = match &self.mounts {
            Some(mounts) => mounts.run(start)?,
            None => start(),
        };
        self.child = Some(child.with_context(|| format!("start {}", self.wharf.display()))?);
        Ok(())
    }

    /// The second half: it takes connections.
    ///
    /// # Errors
    ///
    /// When it ends, or does not answer in time.
    pub fn wait_ready(&mut self) -> Result<()> {
        let mut ended = None;
        let ready = wait_for(READY, || {
            ended = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten());
            ended.is_some() || UnixStream::connect(self.socket()).is_ok()
        });
        match ended {
            Some(status) => {
                self.child = None;
                bail!("wharf daemon ended at start: {status}\n{}", self.log_tail(40))
            }
            None if !ready => bail!("wharf daemon does not answer after {READY:?}\n{}", self.log_tail(40)),
            None => Ok(()),
        }
    }

    /// The command line of a daemon on these folders: for a second one, which must be refused.
    pub fn command(&self) -> Command {
        let mut command = match &self.boot {
            None => Command::new(&self.wharf),
            Some(boot) => {
                let script = r#"mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@""#;
                let mut command = Command::new("unshare");
                command.args(["-m", "sh", "-c", script]).arg(boot).arg(&self.wharf);
                command
            }
        };
        command.arg("daemon").arg("--root").arg(self.root()).arg("--state").arg(self.state());
        command.arg("--socket").arg(self.socket()).arg("--config").arg(&self.config);
        command.envs(self.environment.iter().cloned());
        command
    }

    /// A command line of `wharf` for this daemon: `wharf image import FILE` and the like.
    pub fn wharf(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.wharf);
        // Not as a flag: some verbs have none, and what stands behind `exec` is the command's.
        command.args(arguments).env("WHARF_SOCKET", self.socket()).stdin(Stdio::null());
        command
    }

    /// Kills it with SIGKILL and waits for its end. What it started goes on.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the daemon does not run")?;
        child.kill().context("kill the daemon")?;
        child.wait().context("wait for the killed daemon")?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    ///
    /// When it does not run, or not end in time.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the daemon does not run")?;
        signal(child, Signal::SIGTERM)?;
        let mut status = None;
        if !wait_for(STOP, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        }) {
            bail!("the daemon does not end within {STOP:?} of SIGTERM\n{}", self.log_tail(40));
        }
        self.child = None;
        status.context("no exit status")
    }

    /// Starts it as it finds itself after a reboot of the machine: stopped in time, its shims, containers and namespaces
    /// gone, nothing in the folder that is on tmpfs, another boot's id.
    ///
    /// # Errors
    ///
    /// As [`Daemon::stop`] and [`Daemon::launch`].
    pub fn reboot(&mut self) -> Result<()> {
        self.stop()?;
        self.clean_up();
        fs::remove_dir_all(self.state()).context("empty the state folder")?;
        let boot = self.dirs.root().join("boot-id");
        fs::write(&boot, "00000000-0000-4000-8000-000000000001\n").context("write a boot's id")?;
        self.boot = Some(boot);
        self.launch()
    }

    /// Whether it has ended although nobody has ended it; [`Daemon::kill`] then clears away.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// `--root`
    pub fn root(&self) -> PathBuf {
        self.dirs.root().join("root")
    }

    /// `--state`
    pub fn state(&self) -> PathBuf {
        self.dirs.state().join("state")
    }

    /// The CRI socket.
    pub fn socket(&self) -> PathBuf {
        self.state().join("wharf.sock")
    }

    /// A folder for a test's own files, removed with the daemon.
    pub fn scratch(&self) -> &Path {
        self.dirs.root()
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The cgroup below which it makes its pods', with systemd a slice's.
    pub fn cgroup_parent(&self) -> &str {
        &self.cgroup_parent
    }

    /// Where its log goes.
    pub fn log_path(&self) -> PathBuf {
        self.dirs.root().join("daemon.log")
    }

    /// The last lines of its log, for a failure's message.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let all: Vec<_> = text.lines().collect();
        format!("--- the daemon's log ends ---\n{}", all[all.len().saturating_sub(lines)..].join("\n"))
    }

    /// From now on its folders stay when it is dropped: for whoever wants to know what went wrong. They are named.
    pub fn keep(&mut self) -> [PathBuf; 2] {
        self.dirs.keep();
        [self.dirs.root().to_owned(), self.dirs.state().to_owned()]
    }

    /// Everything on this machine that can belong to this daemon.
    pub fn scope(&self) -> Scope {
        Scope {
            folders: vec![self.dirs.root().to_owned(), self.dirs.state().to_owned()],
            cgroup_parent: self.cgroup_parent.clone(),
            log: self.log_path(),
            network: self.network.clone(),
        }
    }

    fn shims(&self) -> Vec<i32> {
        let Ok(pods) = fs::read_dir(self.state().join("pods")) else { return Vec::new() };
        let recorded =
            pods.flatten().filter_map(|pod| fs::read_to_string(pod.path().join("shim.pid")).ok()?.trim().parse().ok());
        // A number in a file may be another process's by now.
        let running = processes();
        let shim = |pid: &i32| running.iter().any(|p| p.pid == *pid && p.command.contains("containerd-shim"));
        recorded.filter(shim).collect()
    }

    fn clean_up(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only for a process that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        let pods: Vec<_> =
            fs::read_dir(self.state().join("pods")).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
        let scope = self.scope();
        let mut ours = self.shims();
        ours.extend(cgroups::pids(&cgroups::below(&self.cgroup_parent)));
        ours.extend(processes().iter().filter(|p| scope.owns(p)).map(|p| p.pid));
        for pid in ours {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        cgroups::remove(&self.cgroup_parent, Duration::from_secs(5));
        for pod in pods {
            let path = Path::new(NETNS).join(format!("wharf-{}", pod.to_string_lossy()));
            let _ = umount2(&path, MntFlags::MNT_DETACH);
            let _ = fs::remove_file(&path);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // By the macro, so that the test harness shows it with the test's own words.
            eprintln!("{}", self.log_tail(30));
        }
        self.clean_up();
    }
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).context("a pid is an i32")?;
    kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal}"))
}
