use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// So many at a time, the others wait.
pub(crate) struct Turns {
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    free: usize,
    /// Without any, nobody is woken: that would be a system call in each call.
    waiting: usize,
}

/// One of them; given back when dropped.
pub(crate) struct Turn<'a>(&'a Turns);

// === impl Turns ===

impl Turns {
    pub(crate) fn new(count: usize) -> Self {
        Self { state: Mutex::new(State { free: count, waiting: 0 }), freed: Condvar::new() }
    }

    /// None: nothing was free until the deadline.
    pub(crate) fn take(&self, deadline: Instant) -> Option<Turn<'_>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut state = self.lock();
        state.waiting += 1;
        let (mut state, _) =
            self.freed.wait_timeout_while(state, left, |state| state.free == 0).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.free = state.free.checked_sub(1)?;
        Some(Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.free += 1;
        if state.waiting > 0 {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_than_there_are() {
        let turns = Turns::new(2);
        let soon = || Instant::now() + Duration::from_millis(20);
        let (first, _second) = (turns.take(soon()).unwrap(), turns.take(soon()).unwrap());
        assert!(turns.take(soon()).is_none());
        drop(first);
        assert!(turns.take(soon()).is_some());
    }
}
