use std::{fs, os::unix::net::UnixStream, path::Path};

use anyhow::{Context as _, Result};
use rustix::net::sockopt::socket_peercred;

/// The process that listens on a socket.
pub fn owner(socket: &Path) -> Result<u32> {
    let stream = UnixStream::connect(socket).with_context(|| format!("connect to {}", socket.display()))?;
    let peer = socket_peercred(&stream).with_context(|| format!("ask who owns {}", socket.display()))?;
    u32::try_from(peer.pid.as_raw_nonzero().get()).context("a pid is not negative")
}

/// The shims of a daemon: they name the socket of theirs by `-address`, and it is the daemon's.
pub fn shims(daemon: u32) -> Vec<u32> {
    let running = wharf_testkit::processes();
    let is_shim = |command: &str| {
        let mut words = command.split_whitespace();
        let program = words.next().and_then(|program| program.rsplit('/').next()).unwrap_or_default();
        let address = words.skip_while(|word| *word != "-address").nth(1).unwrap_or_default();
        program.starts_with("containerd-shim") && owner(Path::new(address)).is_ok_and(|pid| pid == daemon)
    };
    let pids = running.iter().filter(|process| !process.zombie && is_shim(&process.command)).map(|process| process.pid);
    pids.filter_map(|pid| u32::try_from(pid).ok()).collect()
}

/// Memory of a process in kB, what it shares divided among those who share it.
pub fn pss(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).with_context(|| format!("{path}: no Pss"))?;
    line.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("{path}: {line}"))
}

/// Forgets the most memory that a process ever had: what it has now is the most from here on.
pub fn forget_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    // proc_pid_clear_refs(5): 5 resets the peak of the resident set.
    fs::write(&path, "5").with_context(|| format!("write {path}"))
}

/// The most memory that a process had since, in kB (resident set).
pub fn peak(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("VmHWM:")).with_context(|| format!("{path}: no VmHWM"))?;
    line.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("{path}: {line}"))
}

/// CPU seconds of a process, and of its children that ended and were waited for.
pub fn cpu(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The name stands in parentheses and may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    // A tick is 10 ms; the scheduler's own count is in nanoseconds, but forgets threads that have ended.
    let tick = 0.01;
    let threads = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("read the threads of {pid}"))?;
    let nanoseconds = |thread: fs::DirEntry| -> Option<f64> {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    let exact: f64 = threads.flatten().filter_map(nanoseconds).sum::<f64>() / 1e9;
    let own = (ticks(11) + ticks(12)) * tick;
    Ok(own.max(exact) + (ticks(13) + ticks(14)) * tick)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn this_process_owns_its_sockets_and_takes_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        assert_eq!(owner(&path).unwrap(), std::process::id());
        assert!(pss(std::process::id()).unwrap() > 100);
        assert!(cpu(std::process::id()).unwrap() > 0.0);
        forget_peak(std::process::id()).unwrap();
        let before = peak(std::process::id()).unwrap();
        let mut block = vec![0_u8; 32 << 20];
        block.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        assert!(peak(std::process::id()).unwrap() > before + (16 << 10), "{}", block.len());
        assert!(shims(std::process::id()).is_empty());
    }
}
