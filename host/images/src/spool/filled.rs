use std::ops::Range;

/// What of a blob is here: ranges in order, apart from each other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Filled {
    ranges: Vec<Range<u64>>,
}

// === impl Filled ===

impl Filled {
    /// The first bytes.
    pub fn up_to(end: u64) -> Self {
        let mut filled = Self::default();
        filled.add(0..end);
        filled
    }

    pub fn add(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        let from = self.ranges.partition_point(|range| range.end < new.start);
        let to = self.ranges.partition_point(|range| range.start <= new.end);
        let merged =
            self.ranges[from..to].iter().fold(new, |sum, range| sum.start.min(range.start)..sum.end.max(range.end));
        self.ranges.splice(from..to, [merged]);
    }

    /// How many bytes are here without a gap from the first on.
    pub fn ready(&self) -> u64 {
        self.ranges.first().filter(|first| first.start == 0).map_or(0, |first| first.end)
    }

    /// How many bytes are here.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// What is not here of a blob of this size, in order.
    pub fn missing(&self, size: u64) -> Vec<Range<u64>> {
        let starts = std::iter::once(0).chain(self.ranges.iter().map(|range| range.end));
        let ends = self.ranges.iter().map(|range| range.start).chain([size]);
        starts.zip(ends).map(|(start, end)| start..end).filter(|gap| !gap.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together() {
        let mut filled = Filled::up_to(10);
        for part in [20..30, 40..50, 5..5, 30..35] {
            filled.add(part);
        }
        assert_eq!((filled.ready(), filled.bytes()), (10, 35));
        assert_eq!(filled.missing(60), [10..20, 35..40, 50..60]);
        filled.add(8..22);
        assert_eq!(filled.ready(), 35);
        filled.add(0..60);
        assert_eq!((filled.ready(), filled.bytes(), filled.missing(60)), (60, 60, vec![]));
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "one range is meant")]
    fn without_its_beginning_nothing_is_ready() {
        let mut filled = Filled::default();
        assert_eq!(filled.missing(5), vec![0..5]);
        filled.add(1..5);
        assert_eq!((filled.ready(), filled.bytes(), filled.missing(5)), (0, 4, vec![0..1]));
        assert_eq!(Filled::up_to(0).missing(0), vec![]);
    }
}
