//! The stop signal: sent once, and when the program hears it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use wharf_error::Result;
use wharf_steps::step;

use super::record::Container;
use crate::{entry::ContainerEntry, inner::Inner, time};

/// How long after its start a program may not have said yet which signals it handles.
const YOUNG: Duration = Duration::from_secs(10);
/// How long after its start a program is given to say so, where the signal would end it.
const STARTS: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_millis(20);

/// A container's first process, as far as a signal concerns it.
struct Program {
    /// Its `/proc/PID/status`, where the process is known.
    status: Option<String>,
    signal: i32,
    started_at: i64,
}

/// The mark of a container that is asked to end, taken back where the signal does not go out.
struct Asking<'a> {
    asked: &'a AtomicBool,
    sent: bool,
}

// === impl Inner ===

impl Inner {
    /// Sends the signal, unless another call has, and waits for the end, however long that takes.
    ///
    /// The kernel drops a signal that the first process of a PID namespace does not handle, and a program that has just
    /// been started has not said yet what it handles: once it does, it is asked again. Any other process would die of it,
    /// and is given a moment first.
    pub(super) async fn ask(&self, entry: &ContainerEntry, signal: i32) -> Result<()> {
        if entry.asked.swap(true, Ordering::AcqRel) {
            step(|| "wait for its end: it was asked before".into(), entry.ended()).await;
            return Ok(());
        }
        let mut asking = Asking { asked: &entry.asked, sent: false };
        let program = Program::of(&entry.row(), signal);
        let begun = Instant::now();
        while begun.elapsed() < STARTS
            && program.is_younger_than(STARTS)
            && !program.is_first().await
            && !program.hears().await
        {
            if tokio::time::timeout(LOOK, entry.ended()).await.is_ok() {
                return Ok(());
            }
        }
        let mut dropped = program.is_younger_than(YOUNG) && !program.hears().await;
        self.signal(entry, signal, false).await?;
        asking.sent = true;
        while dropped && program.is_younger_than(YOUNG) {
            if tokio::time::timeout(LOOK, entry.ended()).await.is_ok() {
                return Ok(());
            }
            if program.hears().await {
                dropped = false;
                self.signal(entry, signal, false).await?;
            }
        }
        step(move || format!("wait for its end after signal {signal}"), entry.ended()).await;
        Ok(())
    }
}

// === impl Program ===

impl Program {
    fn of(container: &Container, signal: i32) -> Self {
        let status = container.pid.map(|pid| format!("/proc/{pid}/status"));
        Self { status, signal, started_at: container.started_at }
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        // A clock that was set back makes nothing young.
        let since = time::now().saturating_sub(self.started_at);
        u64::try_from(since).is_ok_and(|since| Duration::from_nanos(since) < age)
    }

    /// Whether the signal is handled, or kept until it is. One that has ended is not to be asked again.
    async fn hears(&self) -> bool {
        self.read().await.is_none_or(|status| is_heard(&status, self.signal))
    }

    /// Whether it is the first of its PID namespace, or has ended.
    async fn is_first(&self) -> bool {
        self.read().await.is_none_or(|status| is_first(&status))
    }

    async fn read(&self) -> Option<String> {
        tokio::fs::read_to_string(self.status.as_ref()?).await.ok()
    }
}

// === impl Asking ===

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.sent {
            self.asked.store(false, Ordering::Release);
        }
    }
}

/// Whether a process that /proc describes so is the first of its PID namespace.
fn is_first(status: &str) -> bool {
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    pids.and_then(|pids| pids.split_whitespace().last()) == Some("1")
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

    #[test]
    fn the_first_of_a_namespace_is_1_in_the_innermost() {
        assert!(is_first("Name:\tsh\nNSpid:\t4711\t17\t1\nNSpgid:\t1\n"));
        assert!(!is_first("Name:\tsh\nNSpid:\t4711\t7\n") && !is_first("NSpid:\t4711\n") && !is_first(""));
    }
}
