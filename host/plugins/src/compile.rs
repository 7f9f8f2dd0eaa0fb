use std::{
    io::{Read, Write as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::native::Native;

/// A Python plugin takes 5 s on a quiet machine.
const DEADLINE: Duration = Duration::from_secs(150);

/// The largest native code: a Python plugin's is some 60 MB.
const LARGEST: u64 = 512 << 20;

/// What is read of the compiler's complaint.
const COMPLAINT: u64 = 16 << 10;

/// Compiles a component in a child without rights. Takes 0.1 s for a small Rust plugin.
///
/// # Errors
/// `InvalidArgument` with the compiler's own words when it refuses the component, `DeadlineExceeded`, or `Internal` when
/// the program cannot be run or dies.
pub(crate) fn compile(compiler: &Path, wasm: &[u8]) -> Result<Native> {
    let mut child = Command::new(compiler)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Error::internal(format!("run the compiler {}", compiler.display()))
                .because(error)
                .hint("wharf-compile belongs beside wharf, or where `compiler` in the configuration says")
        })?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Error::internal("run the compiler: no pipes"));
    };
    thread::scope(|scope| {
        // It stops reading when the component is refused: that is told by its exit status.
        scope.spawn(move || drop(stdin.write_all(wasm)));
        let native = scope.spawn(|| read(stdout, LARGEST + 1));
        let complaint = scope.spawn(|| read(stderr, COMPLAINT));
        let status = wait(&mut child);
        let native = native.join().unwrap_or_default();
        let complaint = String::from_utf8_lossy(&complaint.join().unwrap_or_default()).into_owned();
        judge(status?, native, &complaint)
    })
}

fn judge(status: ExitStatus, native: Vec<u8>, complaint: &str) -> Result<Native> {
    let complaint = crate::contract::tame(complaint);
    if native.len() as u64 > LARGEST {
        return Err(Error::new(Kind::Exhausted, format!("compile: the code is larger than {} MiB", LARGEST >> 20)));
    }
    match status.code() {
        Some(0) => Ok(Native::from_our_compiler(native)),
        Some(_) => Err(Error::invalid(format!("compile: {complaint}"))),
        None => Err(Error::internal(format!("compile: the compiler died: {status} {complaint}"))),
    }
}

/// Waits for the end of the child, and makes it end when it takes too long: its pipes close in either case.
fn wait(child: &mut Child) -> Result<ExitStatus> {
    let deadline = Instant::now() + DEADLINE;
    // A pidfd would do without the thread, but this runs once for each new plugin.
    let (over, ended) = mpsc::channel::<()>();
    let pid = child.id();
    thread::scope(|scope| {
        scope.spawn(move || {
            if ended.recv_timeout(deadline.saturating_duration_since(Instant::now()))
                == Err(mpsc::RecvTimeoutError::Timeout)
            {
                kill(pid);
            }
        });
        let status = child.wait();
        drop(over);
        let status = status.step(|| "wait for the compiler".into())?;
        if Instant::now() >= deadline {
            let what = format!("compile: not done within {} s", DEADLINE.as_secs());
            return Err(Error::new(Kind::DeadlineExceeded, what));
        }
        Ok(status)
    })
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It is ours and not waited for yet, so the number is still its own.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn read(from: impl Read, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What arrived until an error is judged by the exit status.
    let _ = from.take(limit).read_to_end(&mut bytes);
    bytes
}
