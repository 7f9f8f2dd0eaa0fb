use rustix::process::{Pid, Signal, kill_process_group};

/// The process group of a running plugin: with it end the children that it waits for.
pub(super) struct Group(Option<Pid>);

// === impl Group ===

impl Group {
    /// Of a process that was started as the head of a group.
    pub(super) fn of(pid: Option<u32>) -> Self {
        Self(pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }

    /// Its head has ended by itself and was waited for: the number may be another's from here on.
    pub(super) fn ended(&mut self) {
        self.0 = None;
    }

    pub(super) fn kill(&self) {
        if let Some(pid) = self.0 {
            // Fails only where nobody is in it any more.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
