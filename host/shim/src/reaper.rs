//! Reaps what nobody waits for: the shim is the parent of its containers' orphans.

use std::{
    collections::HashMap,
    os::fd::BorrowedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid},
};
use tokio::sync::Notify;

use crate::memory;

/// After so long without an operation free memory goes back to the kernel.
const IDLE: Duration = Duration::from_secs(1);

/// Knows which children have waiters of their own.
///
/// `wharf_runtime` makes and reaps short-lived children; they must not be taken from it. So orphans are
/// reaped only while no operation is under way, and a status that was meant for a waiter is kept for it.
#[derive(Default)]
pub struct Reaper {
    operations: AtomicUsize,
    idle: Notify,
    /// By pid; the status when it was reaped here.
    waited_for: Mutex<HashMap<i32, Option<i32>>>,
}

/// While this lives, only waiters reap.
pub struct Busy(Arc<Reaper>);

// === impl Reaper ===

impl Reaper {
    /// Keeps orphans unreaped until the guard is dropped.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.operations.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }

    /// From now until its status was taken this child has a waiter. To be called while busy.
    pub fn expect(&self, pid: i32) {
        self.lock().insert(pid, None);
    }

    /// The exit code of an expected child that has ended; `None` when it runs.
    pub fn try_wait(&self, pid: i32, pidfd: BorrowedFd<'_>) -> Option<i32> {
        let status = match waitid(Id::PIDFd(pidfd), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Ok(status) => code_of(status).map(|(_, code)| code),
            // Reaped below, and its status kept; should it be lost, the process is gone all the same.
            Err(Errno::ECHILD) => Some(self.lock().get(&pid).copied().flatten().unwrap_or(255)),
            Err(_) => None,
        };
        if status.is_some() {
            self.lock().remove(&pid);
        }
        status
    }

    /// Reaps for ever, at each sign of a dead child (SIGCHLD) and after each operation.
    pub async fn run(self: Arc<Self>, mut child_died: tokio::signal::unix::Signal) {
        let mut trimmed = false;
        loop {
            tokio::select! {
                _ = child_died.recv() => {}
                () = self.idle.notified() => trimmed = false,
                () = tokio::time::sleep(IDLE), if !trimmed => {
                    trimmed = true;
                    memory::trim();
                }
            }
            if self.operations.load(Ordering::Acquire) == 0 {
                self.reap();
            }
        }
    }

    fn reap(&self) {
        while let Ok(status) = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            let Some((pid, code)) = code_of(status) else { break };
            match self.lock().get_mut(&pid) {
                Some(kept) => *kept = Some(code),
                None => tracing::debug!(pid, code, "reaped an orphan"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Option<i32>>> {
        self.waited_for.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.operations.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_one();
        }
    }
}

/// Exit code, or 128 and the signal.
fn code_of(status: WaitStatus) -> Option<(i32, i32)> {
    match status {
        WaitStatus::Exited(pid, code) => Some((pid.as_raw(), code)),
        WaitStatus::Signaled(pid, signal, _) => Some((pid.as_raw(), 128 + signal as i32)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_count_from_128() {
        use nix::{sys::signal::Signal, unistd::Pid};
        let pid = Pid::from_raw(7);
        assert_eq!(code_of(WaitStatus::Exited(pid, 3)), Some((7, 3)));
        assert_eq!(code_of(WaitStatus::Signaled(pid, Signal::SIGKILL, false)), Some((7, 137)));
        assert_eq!(code_of(WaitStatus::StillAlive), None);
    }
}
