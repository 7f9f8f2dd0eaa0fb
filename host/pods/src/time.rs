use time::OffsetDateTime;

/// Nanoseconds since 1970, as CRI wants them.
pub fn now() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(i64::MAX)
}
