use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// So many at a time, the others wait.
pub(crate) struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One of them; given back when dropped.
pub(crate) struct Turn<'a>(&'a Turns);

// === impl Turns ===

impl Turns {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// None: nothing was free until the deadline.
    pub(crate) fn take(&self, deadline: Instant) -> Option<Turn<'_>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (mut free, _) =
            self.freed.wait_timeout_while(self.lock(), left, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
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
