use std::time::Duration;

use serde::Serialize;

/// What is said of a row of values, in the row's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub count: usize,
    pub median: f64,
    pub p90: f64,
    pub p99: f64,
    pub min: f64,
}

// === impl Summary ===

impl Summary {
    /// None of no values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        // The smallest value that so many of the hundred do not exceed.
        let percentile = |percent: usize| values.get((values.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self {
            count: values.len(),
            median: percentile(50)?,
            p90: percentile(90)?,
            p99: percentile(99)?,
            min: percentile(0)?,
        })
    }
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let summary = Summary::of((1..=100).rev().map(f64::from).collect()).unwrap();
        assert_eq!(summary, Summary { count: 100, median: 50.0, p90: 90.0, p99: 99.0, min: 1.0 });
        let one = Summary::of(vec![7.0]).unwrap();
        assert_eq!((one.min, one.median, one.p99), (7.0, 7.0, 7.0));
        assert_eq!(Summary::of(Vec::new()), None);
    }
}
