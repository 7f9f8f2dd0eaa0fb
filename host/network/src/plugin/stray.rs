use std::{collections::HashSet, fs, io, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// The variable that names the store of the daemon that runs a plugin.
pub(super) const OWNER: &str = "WHARF_NETWORK_OWNER";

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// Ends the plugins that a killed daemon of this store left at work on these pods, or at a collection, and their
/// children: a DEL must not come before the end of the ADD that it undoes. Blocking.
pub(crate) fn end_strays(owner: &str, pods: &HashSet<String>) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in numbers.filter_map(Pid::from_raw) {
        match end(pid, owner, pods) {
            Ok(true) => {
                tracing::info!(pid = pid.as_raw_nonzero(), "ended a network plugin of the daemon before this one")
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(pid = pid.as_raw_nonzero(), %error, "end a network plugin of the daemon before this one")
            }
        }
    }
}

fn end(pid: Pid, owner: &str, pods: &HashSet<String>) -> io::Result<bool> {
    // Opened before it is looked at: the number cannot become another's in between.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(false) };
    let Ok(environment) = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())) else { return Ok(false) };
    if !is_stray(&environment, owner, pods) {
        return Ok(false);
    }
    pidfd_send_signal(&process, Signal::KILL)?;
    let mut gone = [PollFd::new(&process, PollFlags::IN)];
    let wait = Timespec::try_from(GONE).map_err(io::Error::other)?;
    match poll(&mut gone, Some(&wait))? {
        0 => Err(io::Error::new(io::ErrorKind::TimedOut, format!("it is there {GONE:?} after SIGKILL"))),
        _ => Ok(true),
    }
}

fn is_stray(environment: &[u8], owner: &str, pods: &HashSet<String>) -> bool {
    let value = |name: &str| {
        let mut words = environment.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok());
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let of_these = value("CNI_CONTAINERID").is_some_and(|pod| pods.contains(pod));
    value(OWNER) == Some(owner) && (of_these || value("CNI_COMMAND") == Some("GC"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_plugins_of_this_store_and_these_pods_are_ended() {
        let sleep = |owner: &str, pod: &str| {
            let mut command = Command::new("sleep");
            command.arg("60").env(OWNER, owner).env("CNI_CONTAINERID", pod).stdin(Stdio::null());
            command.spawn().unwrap()
        };
        let owner = format!("unit-{}", std::process::id());
        let (mut ours, mut others, mut done) = (sleep(&owner, "a"), sleep("somebody", "a"), sleep(&owner, "b"));
        end_strays(&owner, &HashSet::from(["a".to_owned()]));
        assert!(!ours.wait().unwrap().success());
        for other in [&mut others, &mut done] {
            assert!(other.try_wait().unwrap().is_none(), "it is none of ours");
            other.kill().unwrap();
            other.wait().unwrap();
        }
    }
}
