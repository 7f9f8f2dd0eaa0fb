use std::{
    ffi::OsStr,
    fs,
    io::Read as _,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::Deserialize;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::PrivateMounts;
use wharf_shim_api::OciRuntime;

use crate::engine::ended::ends;

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A log that says more than this says nothing.
const LONGEST_LOG: u64 = 1 << 20;

/// One command, to be run.
pub struct Call<'a> {
    runtime: &'a OciRuntime,
    verb: &'static str,
    command: Command,
    log: PathBuf,
    pub streams: Streams,
    pub mounts: Option<PrivateMounts>,
}

/// What the command, and so the process that it makes, reads and writes.
pub enum Streams {
    Nothing,
    Given([OwnedFd; 3]),
}

/// A line of the command's log.
#[derive(Deserialize)]
struct Line {
    level: String,
    msg: String,
}

// === impl Call ===

impl<'a> Call<'a> {
    pub fn new(runtime: &'a OciRuntime, bundle: &Path, verb: &'static str) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let log = bundle.join(format!("oci-{}.log", CALLS.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new(&runtime.path);
        command
            .args(&runtime.options)
            .arg("--root")
            .arg(&runtime.root)
            .arg("--log")
            .arg(&log)
            .args(["--log-format", "json", verb])
            .current_dir("/")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()));
        Self { runtime, verb, command, log, streams: Streams::Nothing, mounts: None }
    }

    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(arg);
        self
    }

    /// Runs it to its end; an error has the words of its log. Blocks, 20 seconds at most.
    pub fn run(mut self) -> Result<()> {
        let what = format!("{} {}", self.runtime.path.display(), self.verb);
        fs::create_dir_all(&self.runtime.root).step(|| format!("make {}", self.runtime.root.display()))?;
        let done = self.run_to_end(&what);
        let said = read(&self.log);
        let _ = fs::remove_file(&self.log);
        match done? {
            true => Ok(()),
            false => {
                let text = said.unwrap_or_else(|| "it failed and says nothing".into());
                Err(Error::new(kind_of(&text), format!("{what}: {text}")))
            }
        }
    }

    fn run_to_end(&mut self, what: &str) -> Result<bool> {
        let [stdin, stdout, stderr] = match std::mem::replace(&mut self.streams, Streams::Nothing) {
            Streams::Nothing => [Stdio::null(), Stdio::null(), Stdio::null()],
            Streams::Given(files) => files.map(Stdio::from),
        };
        self.command.stdin(stdin).stdout(stdout).stderr(stderr);
        if let Some(mounts) = self.mounts.take() {
            // SAFETY: the closure only makes system calls; it allocates nothing and takes no lock.
            unsafe {
                self.command.pre_exec(move || mounts.enter());
            }
        }
        let mut child = self.command.spawn().step(|| format!("{what}: start it"))?;
        // What was given to it is held open by nobody else.
        self.command = Command::new("true");
        if !ends(&child, DEADLINE).step(|| what.to_owned())? {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::new(Kind::DeadlineExceeded, format!("{what}: not done within {DEADLINE:?}")));
        }
        Ok(child.wait().step(|| what.to_owned())?.success())
    }
}

/// The last error in the log.
fn read(log: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(log).ok()?.take(LONGEST_LOG).read_to_string(&mut text).ok()?;
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines.rfind(|line| matches!(line.level.as_str(), "error" | "fatal")).map(|line| line.msg)
}

/// What the words of runc and crun mean.
fn kind_of(text: &str) -> Kind {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["does not exist", "process already finished", "container not running", "No such process"]) {
        Kind::NotFound
    } else if says(&["executable file not found", "no such file or directory", "permission denied", "exec format"]) {
        Kind::FailedPrecondition
    } else {
        Kind::Internal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(folder: &Path, script: &str) -> OciRuntime {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.join("runtime");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        OciRuntime { path, options: vec!["--debug".into()], root: folder.join("root") }
    }

    #[test]
    fn an_error_has_the_log_s_words() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"[ "$1 $2 $4" = "--debug --root --log" ] || exit 9
            echo '{"level":"info","msg":"fine"}' > "$5"
            echo '{"level":"error","msg":"container does not exist"}' >> "$5"
            exit 1"#;
        let runtime = runtime(folder.path(), script);
        let error = Call::new(&runtime, folder.path(), "state").run().unwrap_err();
        assert!(error.to_string().ends_with("runtime state: container does not exist"), "{error}");
        assert!(error.is_not_found());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the log is gone");
    }

    #[test]
    fn one_that_says_nothing_or_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let silent = runtime(folder.path(), "exit 3");
        let error = Call::new(&silent, folder.path(), "start").run().unwrap_err();
        assert!(error.to_string().contains("says nothing"), "{error}");
        let absent = OciRuntime { path: "/no/such/runtime".into(), ..silent };
        let error = Call::new(&absent, folder.path(), "start").run().unwrap_err();
        assert!(error.to_string().starts_with("/no/such/runtime start: start it"), "{error}");
    }
}
