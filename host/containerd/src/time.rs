use prost_types::Timestamp;

const SECOND: i64 = 1_000_000_000;

/// From nanoseconds since 1970; 0 is no time.
pub(crate) fn timestamp(nanos: i64) -> Option<Timestamp> {
    let rest = i32::try_from(nanos.rem_euclid(SECOND)).unwrap_or_default();
    (nanos != 0).then(|| Timestamp { seconds: nanos.div_euclid(SECOND), nanos: rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_its_parts() {
        assert_eq!(timestamp(1_500_000_002), Some(Timestamp { seconds: 1, nanos: 500_000_002 }));
        assert_eq!(timestamp(-1), Some(Timestamp { seconds: -1, nanos: 999_999_999 }));
        assert_eq!(timestamp(0), None);
    }
}
