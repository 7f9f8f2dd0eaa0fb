use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Call, CallStat};

/// How many calls are kept one by one.
const KEPT: usize = 256;

/// What was called, how often and how long it took.
#[derive(Default)]
pub(crate) struct Book(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    stats: BTreeMap<(String, &'static str), CallStat>,
    last: VecDeque<Call>,
}

// === impl Book ===

impl Book {
    pub(crate) fn enter(&self, call: Call) {
        let mut inner = self.lock();
        let (plugin, function) = (call.plugin.clone(), call.function);
        let zero = Duration::ZERO;
        let stat = inner.stats.entry((plugin.clone(), function)).or_insert_with(|| CallStat {
            plugin,
            function,
            calls: 0,
            errors: 0,
            total: zero,
            max: zero,
            last: zero,
        });
        stat.calls += 1;
        stat.errors += u64::from(!call.ok);
        stat.total += call.took;
        stat.max = stat.max.max(call.took);
        stat.last = call.took;
        if inner.last.len() == KEPT {
            inner.last.pop_front();
        }
        inner.last.push_back(call);
    }

    pub(crate) fn stats(&self) -> Vec<CallStat> {
        self.lock().stats.values().cloned().collect()
    }

    /// Oldest first.
    pub(crate) fn last(&self) -> Vec<Call> {
        self.lock().last.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn calls_are_summed_and_the_last_are_kept() {
        let book = Book::default();
        for number in 1..=300 {
            book.enter(Call {
                plugin: "p".into(),
                function: "prepare",
                layer: Some(number),
                at: SystemTime::now(),
                took: Duration::from_millis(number),
                answer: String::new(),
                ok: number % 3 != 0,
            });
        }
        let [stat] = &book.stats()[..] else { panic!("one function") };
        assert_eq!((stat.calls, stat.errors), (300, 100));
        assert_eq!((stat.max, stat.last), (Duration::from_millis(300), Duration::from_millis(300)));
        assert_eq!(stat.total, Duration::from_millis(300 * 301 / 2));
        let last = book.last();
        assert_eq!((last.len(), last[0].layer, last[KEPT - 1].layer), (KEPT, Some(45), Some(300)));
    }
}
