use std::{collections::HashSet, fs, io, os::fd::OwnedFd, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// The variable that names the store of the daemon that runs a plugin.
pub(super) const OWNER: &str = "WHARF_NETWORK_OWNER";

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// A process that a killed daemon left at work: a plugin, or a child of one.
pub(crate) struct Stray {
    /// The pod that it works on; none: it collects.
    pub(crate) pod: Option<String>,
    process: OwnedFd,
}

/// The plugins that a killed daemon of this store left at work on these pods, or at a collection, with their children.
/// Blocking.
pub(crate) fn find_strays(owner: &str, pods: &HashSet<String>) -> Vec<Stray> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter_map(Pid::from_raw).filter_map(|pid| find(pid, owner, pods)).collect()
}

// === impl Stray ===

impl Stray {
    /// Waits for its end, and after that time kills it. Blocking.
    ///
    /// A DEL must not come before the end of the ADD that it undoes; and there are plugins whose DEL stumbles for ever
    /// over what an ADD that was cut short has left.
    pub(crate) fn end_within(self, patience: Duration) {
        let ended = match self.wait(patience) {
            Ok(false) => {
                pidfd_send_signal(&self.process, Signal::KILL).map_err(io::Error::from).and_then(|()| self.wait(GONE))
            }
            other => other,
        };
        let pod = self.pod.as_deref().unwrap_or_default();
        match ended {
            Ok(true) => tracing::info!(pod, "a network plugin of the daemon before this one has ended"),
            Ok(false) => {
                tracing::warn!(pod, "a network plugin of the daemon before this one is there {GONE:?} after SIGKILL")
            }
            Err(error) => tracing::warn!(pod, %error, "end a network plugin of the daemon before this one"),
        }
    }

    /// Whether it ends within this time.
    fn wait(&self, patience: Duration) -> io::Result<bool> {
        let wait = Timespec::try_from(patience).map_err(io::Error::other)?;
        Ok(poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&wait))? > 0)
    }
}

fn find(pid: Pid, owner: &str, pods: &HashSet<String>) -> Option<Stray> {
    // Opened before it is looked at: the number cannot become another's in between.
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    if variable(&environment, OWNER) != Some(owner) {
        return None;
    }
    if variable(&environment, "CNI_COMMAND") == Some("GC") {
        return Some(Stray { pod: None, process });
    }
    let pod = variable(&environment, "CNI_CONTAINERID").filter(|pod| pods.contains(*pod))?;
    Some(Stray { pod: Some(pod.to_owned()), process })
}

fn variable<'a>(environment: &'a [u8], name: &str) -> Option<&'a str> {
    let mut words = environment.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok());
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_plugins_of_this_store_and_these_pods_are_ended_and_only_after_a_while() {
        let start = |owner: &str, pod: &str| {
            let mut command = Command::new("cat");
            command.env(OWNER, owner).env("CNI_CONTAINERID", pod).stdin(Stdio::piped());
            command.spawn().unwrap()
        };
        let owner = format!("unit-{}", std::process::id());
        let (mut slow, mut quick) = (start(&owner, "slow"), start(&owner, "quick"));
        let (mut others, mut done) = (start("somebody", "slow"), start(&owner, "done"));
        let found = find_strays(&owner, &HashSet::from(["slow".to_owned(), "quick".to_owned()]));
        assert_eq!(found.len(), 2);
        // It comes to its end by itself.
        drop(quick.stdin.take());
        for stray in found {
            let patience = if stray.pod.as_deref() == Some("quick") { Duration::from_secs(60) } else { Duration::ZERO };
            stray.end_within(patience);
        }
        assert!(!slow.wait().unwrap().success(), "killed");
        assert!(quick.wait().unwrap().success(), "waited for");
        for other in [&mut others, &mut done] {
            assert!(other.try_wait().unwrap().is_none(), "it is none of ours");
            other.kill().unwrap();
            other.wait().unwrap();
        }
    }
}
