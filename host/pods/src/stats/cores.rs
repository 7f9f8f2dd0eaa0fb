use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// A rate is measured over so long at least, nanoseconds.
const WINDOW: i64 = 1_000_000_000;

/// Rates of processor use by control group, from one question to the next: nothing runs in between.
#[derive(Default)]
pub(crate) struct Cores(Mutex<HashMap<String, Sample>>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: i64,
    total: u64,
    rate: u64,
}

// === impl Cores ===

impl Cores {
    /// The rate of a group that has used `total` nanoseconds by now. `started` is when it had used none.
    pub(crate) fn rate(&self, group: &str, started: i64, at: i64, total: u64) -> u64 {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match samples.get(group) {
            // A group of the same name is a new one where less is used than before.
            Some(last) if last.total <= total && last.at >= started => *last,
            _ => Sample { at: started, total: 0, rate: 0 },
        };
        let passed = at.saturating_sub(last.at);
        let first = last.at == started;
        if passed < WINDOW && !first {
            return last.rate;
        }
        let used = u128::from(total.saturating_sub(last.total));
        let passed = u128::try_from(passed.max(1)).unwrap_or(1);
        let rate = u64::try_from(used * 1_000_000_000 / passed).unwrap_or(u64::MAX);
        samples.insert(group.to_owned(), Sample { at, total, rate });
        rate
    }

    /// Forgets groups that are no more.
    pub(crate) fn retain(&self, there: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|group, _| there(group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn a_rate_is_between_two_questions() {
        let cores = Cores::default();
        assert_eq!(cores.rate("/a", 10 * S, 14 * S, 2_000_000_000), 500_000_000, "since the start");
        assert_eq!(cores.rate("/a", 10 * S, 14 * S + 1000, 3_000_000_000), 500_000_000, "too soon for another");
        assert_eq!(cores.rate("/a", 10 * S, 16 * S, 4_000_000_000), 1_000_000_000);
        assert_eq!(cores.rate("/b", 10 * S, 16 * S, 0), 0);
        assert_eq!(cores.rate("/a", 20 * S, 21 * S, 100_000_000), 100_000_000, "a new one of the same name");
        cores.retain(|group| group != "/a");
        assert_eq!(cores.0.lock().unwrap().len(), 1);
    }
}
