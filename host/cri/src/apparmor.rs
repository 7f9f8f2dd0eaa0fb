//! AppArmor on this node: whether there is any, which profiles are loaded, and the default one.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

/// The profile of a container that asks for no other.
pub(crate) const DEFAULT_PROFILE: &str = "wharf-default";

/// Loads profiles into the kernel; looked for in `PATH`.
const PARSER: &str = "apparmor_parser";

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(30);

const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// What it allows is what containers need; what it denies is what would reach past a container whose masks, mounts or
/// capabilities let something through: the machine's settings, its memory, its devices' and security's files, mounts.
/// Denied for writing, and what hands out memory or keys for reading too. It includes no file of the node's.
const TEXT: &str = "
profile wharf-default flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,

  signal (receive) peer=unconfined,
  signal (send, receive) peer=wharf-default,
  ptrace (trace, read, tracedby, readby) peer=wharf-default,

  deny mount,

  # Of /proc, only what is a process's own may be written, and the settings of shared memory.
  deny /proc/[^0-9s]** wl,
  deny /proc/s[^y]** wl,
  deny /proc/sys[^/]** wl,
  deny /proc/sys/[^k]** wl,
  deny /proc/sys/k[^e]** wl,
  deny /proc/sys/kernel/[^s]** wl,
  deny /proc/sys/kernel/s[^h]** wl,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/{kcore,kmem,mem} rwklx,

  # Of /sys, only the container's control groups.
  deny /sys/[^f]** wl,
  deny /sys/f[^s]** wl,
  deny /sys/fs/[^c]** wl,
  deny /sys/fs/c[^g]** wl,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
}
";

/// Whether the kernel enforces profiles, and lets us see them.
pub(crate) fn is_enabled() -> bool {
    let enabled = fs::read("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|enabled| enabled.starts_with(b"Y")) && Path::new(LOADED).exists()
}

/// Whether a profile of this name is loaded.
pub(crate) fn is_loaded(name: &str) -> Result<bool> {
    let list = fs::read_to_string(LOADED).step(|| "list the AppArmor profiles".into())?;
    Ok(lists(&list, name))
}

/// Loads the default profile, where it is not. Blocks for as long as that takes, seconds at most.
pub(crate) fn load_default() -> Result<()> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if is_loaded(DEFAULT_PROFILE)? {
        return Ok(());
    }
    load(TEXT).step(|| format!("load AppArmor profile {DEFAULT_PROFILE}"))
}

/// `NAME (MODE)` a line.
fn lists(list: &str, name: &str) -> bool {
    list.lines().any(|line| line.rsplit_once(" (").is_some_and(|(listed, _)| listed == name))
}

fn load(text: &str) -> Result<()> {
    let started = Command::new(PARSER)
        // Never from or into a cache of the node's.
        .args(["--skip-cache", "--replace"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut parser = started.map_err(|error| {
        Error::new(Kind::FailedPrecondition, format!("run {PARSER}"))
            .because(error)
            .hint("install the package apparmor, or load the profile by other means")
    })?;
    let written = parser.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
    let ended = wait(&mut parser);
    if ended.is_err() {
        let _ = parser.kill();
        let _ = parser.wait();
    }
    let said = ended?;
    written.step(|| format!("write to {PARSER}"))?;
    if said.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&said.stderr).trim().to_owned();
    Err(Error::new(Kind::FailedPrecondition, format!("{PARSER} ended with {}: {words}", said.status)))
}

struct Said {
    status: std::process::ExitStatus,
    stderr: Vec<u8>,
}

fn wait(parser: &mut Child) -> Result<Said> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = parser.try_wait().step(|| format!("wait for {PARSER}"))? {
            let mut stderr = Vec::new();
            if let Some(mut pipe) = parser.stderr.take() {
                // Its few words are in the pipe; that they cannot be read is no reason to fail.
                let _ = std::io::Read::read_to_end(&mut pipe, &mut stderr);
            }
            return Ok(Said { status, stderr });
        }
        if Instant::now() >= deadline {
            let what = format!("{PARSER} did not end within {} seconds", PATIENCE.as_secs());
            return Err(Error::new(Kind::DeadlineExceeded, what));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_by_their_whole_names() {
        let list = "/usr/bin/man (enforce)\ndocker-default (complain)\nwith space (x) (enforce)\n";
        for name in ["/usr/bin/man", "docker-default", "with space (x)"] {
            assert!(lists(list, name), "{name}");
        }
        for name in ["docker", "default", "with space", ""] {
            assert!(!lists(list, name), "{name}");
        }
    }

    #[test]
    fn the_default_profile_is_taken_by_the_parser() {
        let Some(package) = wharf_testkit::need(wharf_testkit::unpacked_package("apparmor")) else { return };
        let mut parser = Command::new(package.join("sbin").join(PARSER))
            .args(["--skip-kernel-load", "--skip-cache", "--quiet"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        parser.stdin.take().unwrap().write_all(TEXT.as_bytes()).unwrap();
        let said = wait(&mut parser).unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}
