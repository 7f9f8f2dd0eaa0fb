use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::cache::cache_dir;

const DEADLINE: Duration = Duration::from_secs(180);

/// The real crictl, told to talk to one socket.
#[derive(Clone, Debug)]
pub struct Crictl {
    program: PathBuf,
    config: PathBuf,
}

/// How a run of crictl ended.
#[derive(Debug)]
pub struct Ran {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// How long it took, process start included.
    pub took: Duration,
}

impl Crictl {
    /// Where the program is: `$WHARF_CRICTL`, our cache (`cargo xtask` builds it there), `PATH`.
    ///
    /// # Errors
    ///
    /// When it is in none of them.
    pub fn find() -> Result<PathBuf> {
        if let Some(named) = std::env::var_os("WHARF_CRICTL") {
            return Ok(named.into());
        }
        let cached = cache_dir()?.join("bin/crictl");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&path).map(|dir| dir.join("crictl"));
        [cached]
            .into_iter()
            .chain(in_path)
            .find(|p| p.is_file())
            .context("crictl is not installed (cargo xtask test builds it where Go is)")
    }

    /// Writes crictl's configuration into `dir`.
    ///
    /// # Errors
    ///
    /// When crictl is not there or the file cannot be written.
    pub fn new(socket: &Path, dir: &Path) -> Result<Self> {
        let config = dir.join("crictl.yaml");
        let endpoint = format!("unix://{}", socket.display());
        let text = format!("runtime-endpoint: {endpoint}\nimage-endpoint: {endpoint}\ntimeout: 30\ndebug: false\n");
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        Ok(Self { program: Self::find()?, config })
    }

    /// The command line, for a run of one's own.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs it to its end, whatever that is; a minute at most.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or has to be killed.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<Ran> {
        self.run_within(arguments, DEADLINE)
    }

    /// As [`Crictl::ok`] with a deadline of its own: for a pull from far away.
    ///
    /// # Errors
    ///
    /// When it fails, or has to be killed.
    pub fn ok_within<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S], deadline: Duration) -> Result<String> {
        success(arguments, self.run_within(arguments, deadline)?)
    }

    fn run_within<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S], deadline: Duration) -> Result<Ran> {
        let mut command = self.command(arguments);
        let begin = Instant::now();
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).context("a pid is an i32")?);
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || send.send(child.wait_with_output()));
        let out = match receive.recv_timeout(deadline) {
            Ok(out) => out.with_context(|| format!("wait for {command:?}"))?,
            Err(_) => {
                let _ = kill(pid, Signal::SIGKILL);
                bail!("{command:?}: still running after {deadline:?}");
            }
        };
        Ok(Ran {
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
            status: out.status,
            took: begin.elapsed(),
        })
    }

    /// Runs it and wants success; its standard output without the last line break.
    ///
    /// # Errors
    ///
    /// When it fails, with what it said.
    pub fn ok<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<String> {
        success(arguments, self.run(arguments)?)
    }

    /// Runs it and wants failure; what it said.
    ///
    /// # Errors
    ///
    /// When it succeeds.
    pub fn fails<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let ran = self.run(arguments)?;
        if ran.status.success() {
            bail!("crictl {}: succeeded\n{}", words(arguments), ran.stdout);
        }
        Ok(ran.stderr + &ran.stdout)
    }

    /// Runs it with `-o json` and parses the answer.
    ///
    /// # Errors
    ///
    /// When it fails or answers something else.
    pub fn json<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<Value> {
        let mut all: Vec<_> = arguments.iter().map(|a| a.as_ref().to_owned()).collect();
        // Options stand before the arguments of the verb.
        all.splice(1..1, ["-o".into(), "json".into()]);
        let text = self.ok(&all)?;
        serde_json::from_str(&text).with_context(|| format!("crictl {}: no JSON: {text}", words(arguments)))
    }
}

fn success<S: AsRef<std::ffi::OsStr>>(arguments: &[S], ran: Ran) -> Result<String> {
    if !ran.status.success() {
        bail!("crictl {}: {}\n{}{}", words(arguments), ran.status, ran.stdout, ran.stderr);
    }
    Ok(ran.stdout.trim_end_matches('\n').to_owned())
}

fn words<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> String {
    arguments.iter().map(|a| a.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ")
}
