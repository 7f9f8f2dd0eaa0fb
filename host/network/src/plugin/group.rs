use rustix::process::{Pid, Signal, kill_process_group};

/// The process group of a running plugin: with it end the children that it waits for.
pub(super) struct Group {
    head: Option<Pid>,
    /// Whether it ends when nobody waits for it any more.
    bound: bool,
}

// === impl Group ===

impl Group {
    /// Of a process that was started as the head of a group. `bound`: it is killed when this is dropped.
    pub(super) fn of(pid: Option<u32>, bound: bool) -> Self {
        Self { head: pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw), bound }
    }

    /// Its head has ended by itself and was waited for: the number may be another's from here on.
    pub(super) fn ended(&mut self) {
        self.head = None;
    }

    pub(super) fn kill(&self) {
        if let Some(pid) = self.head {
            // Fails only where nobody is in it any more.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.bound {
            self.kill();
        }
    }
}
