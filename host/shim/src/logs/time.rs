use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// Nanoseconds since the epoch.
pub fn now_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with nine digits, as CRI logs have it.
pub fn now() -> String {
    format(now_nanos())
}

fn format(nanos: i64) -> String {
    let t = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.nanosecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::format_description::well_known::Rfc3339;

    #[test]
    fn what_is_written_is_rfc3339() {
        let nanos = 1_795_000_000_000_000_042;
        assert_eq!(format(nanos), "2026-11-18T11:06:40.000000042Z");
        let read = OffsetDateTime::parse(&format(nanos), &Rfc3339).unwrap();
        assert_eq!(read.unix_timestamp_nanos(), i128::from(nanos));
    }
}
