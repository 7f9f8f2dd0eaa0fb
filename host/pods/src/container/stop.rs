use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_steps::step;

use super::{held::held, record::Stage};
use crate::{
    Pods,
    inner::{ContainerEntry, Inner},
    pod::blocking,
    time,
};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// How long after its start a program may not have said yet which signals it handles.
const YOUNG: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// How long after its start a program is given to say so, where the signal would end it.
const STARTS: Duration = Duration::from_millis(250);

impl Pods {
    /// Asks the container to end with its stop signal, and kills it after `timeout`; zero kills at once. A container that
    /// was asked before is not asked again: who repeats the call waits, and kills it after a `timeout` of its own.
    ///
    /// Idempotent: a container that has ended, never ran, or is gone is success. Cancelling the call stops nothing
    /// that is under way.
    pub async fn stop_container(&self, id: &str, timeout: Duration) -> Result<()> {
        let entry = match self.inner.recovered_entry(id).await {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        let (inner, what) = (self.inner.clone(), format!("stop container {}", entry.row().id));
        self.inner
            .detached(what, timeout, async move {
                inner.settle(&entry).await;
                inner.stop_container(&entry, timeout).await
            })
            .await
    }
}

// === impl Inner ===

impl Inner {
    /// Waits until a start under way has come to its end: only then there is something to stop. Callers do not
    /// hold the container's `life`.
    pub(crate) async fn settle(&self, entry: &ContainerEntry) {
        if entry.row().stage == Stage::Starting {
            drop(entry.life.take().await);
        }
    }

    /// Takes no `life` lock: a kill must not queue behind a stop with a long timeout.
    pub(crate) async fn stop_container(&self, entry: &ContainerEntry, timeout: Duration) -> Result<()> {
        let container = entry.row();
        if !matches!(container.stage, Stage::Running | Stage::Starting) {
            return Ok(());
        }
        let what = || format!("stop container {}", container.id);
        if !timeout.is_zero() {
            let asked = tokio::time::timeout(timeout, self.ask(entry, container.stop_signal.unwrap_or(SIGTERM)));
            match asked.await {
                Ok(ended) => return ended.step(what),
                Err(_) => tracing::debug!(container = %container.id, ?timeout, "it does not end when asked"),
            }
        }
        point!("pods.stop-container.kill");
        self.signal(entry, SIGKILL, true).await.step(what)?;
        point!("pods.stop-container.killed");
        let deadline = self.config.kill_deadline;
        let ended = step(|| "wait for its end after SIGKILL".into(), entry.ended());
        if tokio::time::timeout(deadline, ended).await.is_ok() {
            return Ok(());
        }
        let group = self.cgroups.open(&container.cgroup)?;
        let why = blocking("look why it does not end", move || Ok(held(&group))).await?;
        let what = format!("stop container {}: it has not ended {deadline:?} after SIGKILL{why}", container.id);
        Err(Error::new(Kind::DeadlineExceeded, what).hint("the stop can be tried again"))
    }

    /// Sends the signal, unless another call has, and waits for the end, however long that takes.
    ///
    /// The kernel drops a signal that the first process of a pid namespace does not handle, and a program that has just
    /// been started has not said yet what it handles: once it does, it is asked again.
    async fn ask(&self, entry: &ContainerEntry, signal: i32) -> Result<()> {
        let container = entry.row();
        if entry.asked.swap(true, Ordering::AcqRel) {
            step(|| "wait for its end: it was asked before".into(), entry.ended()).await;
            return Ok(());
        }
        let mut asking = Asking { asked: &entry.asked, sent: false };
        let young =
            || time::now().saturating_sub(container.started_at) < YOUNG.as_nanos().try_into().unwrap_or(i64::MAX);
        let status = container.pid.map(|pid| format!("/proc/{pid}/status"));
        let handled = || async {
            let Some(path) = &status else { return true };
            // It has ended: nothing is to be asked again.
            tokio::fs::read_to_string(path).await.map_or(true, |status| is_heard(&status, signal))
        };
        if let Some(path) = &status {
            let starts = Instant::now();
            let age = time::now().saturating_sub(container.started_at);
            let left = STARTS.saturating_sub(Duration::from_nanos(u64::try_from(age).unwrap_or(u64::MAX)));
            // Any other process than a namespace's first dies of a signal that it is about to handle.
            while starts.elapsed() < left && !is_first(path).await && !handled().await {
                if tokio::time::timeout(LOOK, entry.ended()).await.is_ok() {
                    return Ok(());
                }
            }
        }
        let mut dropped = young() && !handled().await;
        self.signal(entry, signal, false).await?;
        asking.sent = true;
        while dropped && young() {
            if tokio::time::timeout(LOOK, entry.ended()).await.is_ok() {
                return Ok(());
            }
            if handled().await {
                dropped = false;
                self.signal(entry, signal, false).await?;
            }
        }
        step(move || format!("wait for its end after signal {signal}"), entry.ended()).await;
        Ok(())
    }

    async fn signal(&self, entry: &ContainerEntry, signal: i32, all: bool) -> Result<()> {
        let container = entry.row();
        let sent = match self.pod_entry(&container.pod_id)?.shim().await {
            Ok(shim) => shim.kill(&container.id, "", signal, all).await,
            Err(gone) => Err(gone),
        };
        match sent {
            // It ended meanwhile; whoever waits for it hears so.
            Err(error) if error.is_not_found() || error.kind() == Kind::FailedPrecondition => Ok(()),
            sent => sent,
        }
    }
}

/// The mark of a container that is asked to end, taken back where the signal does not go out.
struct Asking<'a> {
    asked: &'a AtomicBool,
    sent: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.sent {
            self.asked.store(false, Ordering::Release);
        }
    }
}

/// Whether the process is the first of its PID namespace, or has ended.
async fn is_first(status: &str) -> bool {
    let read = tokio::fs::read_to_string(status).await;
    read.map_or(true, |status| {
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        pids.and_then(|pids| pids.split_whitespace().last()) == Some("1")
    })
}

/// Whether a process that /proc describes so gets the signal: it handles it, or keeps it until it does.
fn is_heard(status: &str, signal: i32) -> bool {
    let Some(bit) = u32::try_from(signal).ok().and_then(|signal| signal.checked_sub(1)).filter(|bit| *bit < 64) else {
        return true;
    };
    let mask = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    [mask("SigCgt:"), mask("SigBlk:")].into_iter().any(|mask| mask.is_none_or(|mask| mask >> bit & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_heard_where_it_is_handled_or_kept() {
        let status = "Name:\ttop\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000004000\nSigCgt:\t0000000000000400\n";
        for (signal, heard) in [(2, true), (11, true), (15, false), (64, false), (65, true)] {
            assert_eq!(is_heard(status, signal), heard, "{signal}");
        }
        // A kernel that does not tell is no reason to ask again and again.
        assert!(is_heard("Name:\ttop\n", 15));
    }
}
