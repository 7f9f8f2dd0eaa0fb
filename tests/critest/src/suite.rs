use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::os::unix::process::CommandExt as _;

use crate::{
    arguments::Arguments,
    expected::PUBLIC_DIGEST,
    report::{self, Outcome},
};

/// Two minutes at most peers, more in an emulated guest.
const DEADLINE: Duration = Duration::from_secs(45 * 60);

/// One run of critest.
pub struct Suite<'a> {
    arguments: &'a Arguments,
    endpoint: PathBuf,
    programs: Option<&'a Path>,
}

impl<'a> Suite<'a> {
    /// critest as the arguments ask, against this socket; it finds `programs` before what is on `PATH`.
    pub fn new(arguments: &'a Arguments, endpoint: PathBuf, programs: Option<&'a Path>) -> Self {
        Self { arguments, endpoint, programs }
    }

    /// Runs it to its end; each spec and how it ended. Its output is kept where asked, else dropped.
    pub fn run(&self) -> Result<Vec<(String, Outcome)>> {
        let dir = tempfile::Builder::new().prefix("wharf-critest-report-").tempdir().context("make a folder")?;
        let kept = match &self.arguments.keep {
            Some(keep) => {
                fs::create_dir_all(keep).with_context(|| format!("make {}", keep.display()))?;
                keep.clone()
            }
            None => dir.path().to_owned(),
        };
        let report = kept.join("report.json");
        let log_path = kept.join("critest.log");
        let log = File::create(&log_path).with_context(|| format!("make {}", log_path.display()))?;
        let mut command = self.command(&report);
        // In a group of its own: in parallel it has children.
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", self.arguments.critest.display()))?;
        let begin = Instant::now();
        loop {
            if child.try_wait().context("wait for critest")?.is_some() {
                break;
            }
            if begin.elapsed() > DEADLINE {
                let group = i32::try_from(child.id()).context("a pid is an i32")?;
                // Fails only when all of it has just ended.
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
                let _ = child.wait();
                bail!("critest still ran after {DEADLINE:?}\n{}", tail(&log_path));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        println!("  critest ran {:.0} s", begin.elapsed().as_secs_f64());
        report::read(&report).with_context(|| tail(&log_path))
    }

    fn command(&self, report: &Path) -> Command {
        let arguments = self.arguments;
        let mut command = Command::new(&arguments.critest);
        let endpoint = format!("unix://{}", self.endpoint.display());
        command.arg(format!("-runtime-endpoint={endpoint}")).arg(format!("-image-endpoint={endpoint}"));
        command.arg(format!("-ginkgo.skip={PUBLIC_DIGEST}"));
        command.arg(format!("-ginkgo.json-report={}", report.display()));
        command.args(["-ginkgo.no-color", "-ginkgo.v", "-ginkgo.timeout=40m"]);
        if let Some(handler) = &arguments.handler {
            command.arg(format!("-runtime-handler={handler}"));
        }
        if arguments.websocket {
            command.args(["-websocket-exec", "-websocket-attach", "-websocket-portforward"]);
        }
        if let Some(seed) = arguments.seed {
            command.arg(format!("-ginkgo.seed={seed}"));
        }
        if let Some(focus) = &arguments.focus {
            command.arg(format!("-ginkgo.focus={focus}"));
        }
        if arguments.parallel > 1 {
            command.arg(format!("-parallel={}", arguments.parallel));
        }
        // ginkgo, which critest calls for parallel runs, lies beside it.
        let beside = arguments.critest.parent().map(PathBuf::from).unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let ours = self.programs.map(Path::to_owned).into_iter().chain([beside]);
        let paths = ours.chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(paths).unwrap_or_else(|_| OsString::from("/usr/bin:/bin")));
        command
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    format!("--- critest's output ends ---\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
}
