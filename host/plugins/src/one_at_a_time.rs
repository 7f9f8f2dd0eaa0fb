use std::{
    collections::HashSet,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// One call at a time for a layer; `layers` alone.
#[derive(Default)]
pub(crate) struct OneAtATime {
    busy: Mutex<Busy>,
    changed: Condvar,
}

#[derive(Default)]
struct Busy {
    layers: HashSet<u64>,
    all: bool,
    /// Calls that want everything: new calls for a layer let them go first.
    wanted: usize,
    /// Without any, nobody is woken: that would be a system call in each call.
    waiting: usize,
}

/// What one call has for itself.
pub(crate) struct Held<'a> {
    of: &'a OneAtATime,
    layer: Option<u64>,
}

// === impl OneAtATime ===

impl OneAtATime {
    /// This layer, or everything when there is none. None: it was not free before the deadline.
    pub(crate) fn hold(&self, layer: Option<u64>, deadline: Instant) -> Option<Held<'_>> {
        let mut busy = self.lock();
        if layer.is_none() {
            busy.wanted += 1;
        }
        busy.waiting += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        let (mut busy, waited) = self
            .changed
            .wait_timeout_while(busy, left, |busy| !busy.free(layer))
            .unwrap_or_else(PoisonError::into_inner);
        busy.waiting -= 1;
        if layer.is_none() {
            busy.wanted -= 1;
        }
        if waited.timed_out() && !busy.free(layer) {
            self.changed.notify_all();
            return None;
        }
        match layer {
            Some(layer) => drop(busy.layers.insert(layer)),
            None => busy.all = true,
        }
        Some(Held { of: self, layer })
    }

    fn lock(&self) -> MutexGuard<'_, Busy> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Busy ===

impl Busy {
    fn free(&self, layer: Option<u64>) -> bool {
        match layer {
            Some(layer) => !self.all && self.wanted == 0 && !self.layers.contains(&layer),
            None => !self.all && self.layers.is_empty(),
        }
    }
}

// === impl Held ===

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut busy = self.of.lock();
        match self.layer {
            Some(layer) => drop(busy.layers.remove(&layer)),
            None => busy.all = false,
        }
        if busy.waiting > 0 {
            self.of.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn two_layers_at_once_but_not_one_twice() {
        let calls = OneAtATime::default();
        let first = calls.hold(Some(1), soon()).unwrap();
        let _second = calls.hold(Some(2), soon()).unwrap();
        assert!(calls.hold(Some(1), soon()).is_none());
        drop(first);
        assert!(calls.hold(Some(1), soon()).is_some());
    }

    #[test]
    fn everything_is_held_alone() {
        let calls = OneAtATime::default();
        let one = calls.hold(Some(1), soon()).unwrap();
        assert!(calls.hold(None, soon()).is_none());
        drop(one);
        let all = calls.hold(None, soon()).unwrap();
        assert!(calls.hold(Some(1), soon()).is_none() && calls.hold(None, soon()).is_none());
        drop(all);
        assert!(calls.hold(Some(1), soon()).is_some());
    }
}
