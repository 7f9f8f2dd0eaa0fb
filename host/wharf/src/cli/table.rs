//! Tables for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comfy_table::{Table, presets};

/// Digits of an id that tell it from others on one node.
const SHORT: usize = 13;

/// From when on months are told, and years, seconds.
const MONTHS: u64 = 90 * 86_400;
const YEARS: u64 = 2 * 365 * 86_400;

pub(super) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    *table.style_mut() = presets::NOTHING;
    table.set_header(header);
    table
}

/// The beginning of an id, without the name of its algorithm.
pub(super) fn short(id: &str) -> String {
    id.split_once(':').map_or(id, |(_, digits)| digits).chars().take(SHORT).collect()
}

/// An id as it is listed, or all of it.
pub(super) fn id(id: &str, whole: bool) -> String {
    if whole { id.to_owned() } else { short(id) }
}

/// Nanoseconds since 1970 as people say it: `5 minutes ago`.
pub(super) fn ago(nanos: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = Duration::from_nanos(u64::try_from(nanos).unwrap_or_default());
    let seconds = now.saturating_sub(then).as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        86_400..MONTHS => (seconds / 86_400, "day"),
        MONTHS..YEARS => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// Bytes with three digits and a unit of 1000s: `12.3MB`.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    match value {
        _ if unit == "B" => format!("{bytes}B"),
        v if v < 10.0 => format!("{v:.2}{unit}"),
        v if v < 100.0 => format!("{v:.1}{unit}"),
        v => format!("{v:.0}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let shown = [0, 999, 1000, 12_345, 123_456_789, 9_999_999_999].map(size);
        assert_eq!(shown, ["0B", "999B", "1.00kB", "12.3kB", "123MB", "10.00GB"]);
    }

    #[test]
    fn times_are_told_as_people_do() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let before = |seconds: u64| i64::try_from((now - Duration::from_secs(seconds)).as_nanos()).unwrap();
        assert_eq!(ago(before(61)), "1 minute ago");
        assert_eq!(ago(before(7300)), "2 hours ago");
        assert_eq!(ago(before(86_400 * 3)), "3 days ago");
        assert_eq!(ago(before(86_400 * 100)), "3 months ago");
        assert_eq!(ago(before(86_400 * 800)), "2 years ago");
    }

    #[test]
    fn ids_are_cut() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789abc");
        assert_eq!(short("0123456789abcdef"), "0123456789abc");
    }
}
