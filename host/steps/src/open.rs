use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::Steps;

/// So many steps are told: a step, one inside of it, and others beside it.
const TOLD: usize = 4;

/// The steps that are open now, the oldest first.
pub(crate) struct Open {
    steps: Mutex<List>,
}

#[derive(Default)]
struct List {
    next: u64,
    open: Vec<Step>,
}

struct Step {
    number: u64,
    name: Name,
    began: Instant,
}

pub(crate) enum Name {
    /// Made only for who asks: most steps end before anybody does.
    Own(Box<dyn Fn() -> String + Send>),
    /// What another operation is at, which is waited for.
    Of(Steps),
}

/// A step's place in the list, until it is dropped.
pub(crate) struct Place<'a> {
    open: &'a Open,
    number: u64,
}

// === impl Open ===

impl Open {
    pub(crate) fn new() -> Self {
        Self { steps: Mutex::default() }
    }

    pub(crate) fn begin(&self, name: Name) -> Place<'_> {
        let mut list = self.lock();
        let number = list.next;
        list.next += 1;
        list.open.push(Step { number, name, began: Instant::now() });
        Place { open: self, number }
    }

    /// What is open, for people: each with the time that it takes already, the oldest first. None between two steps.
    pub(crate) fn told(&self) -> Option<String> {
        let list = self.lock();
        let told = list.open.iter().take(TOLD).map(|step| match &step.name {
            Name::Own(name) => format!("{} ({:.1}s)", name(), step.began.elapsed().as_secs_f64()),
            Name::Of(other) => other.now(),
        });
        Some(told.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
    }

    /// When the oldest step began.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.lock().open.first().map(|step| step.began)
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Open").field(&self.told()).finish()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.open.lock().open.retain(|step| step.number != self.number);
    }
}
