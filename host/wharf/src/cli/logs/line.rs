use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A line of a log in CRI's format: `TIME stdout|stderr P|F TEXT`.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Line<'l> {
    pub(super) timestamp: &'l str,
    pub(super) stderr: bool,
    /// It is not a part that the next goes on with.
    pub(super) ends: bool,
    pub(super) text: &'l [u8],
}

// === impl Line ===

impl<'l> Line<'l> {
    /// `None` for what is no such line. Without the line break.
    pub(super) fn parse(line: &'l [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |&byte| byte == b' ');
        let timestamp = std::str::from_utf8(parts.next()?).ok()?;
        let stderr = match parts.next()? {
            b"stdout" => false,
            b"stderr" => true,
            _ => return None,
        };
        // Tags may grow: the first, before a colon, says whether it is whole.
        let ends = parts.next()?.split(|&byte| byte == b':').next()? != b"P";
        Some(Self { timestamp, stderr, ends, text: parts.next().unwrap_or_default() })
    }

    pub(super) fn time(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(self.timestamp, &Rfc3339).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_parts_are_told_apart() {
        let line = Line::parse(b"2026-01-02T03:04:05.000000006Z stderr P a  b").unwrap();
        assert_eq!((line.stderr, line.ends, line.text), (true, false, &b"a  b"[..]));
        assert_eq!(line.time().unwrap().nanosecond(), 6);
        let empty = Line::parse(b"2026-01-02T03:04:05Z stdout F ").unwrap();
        assert!(empty.ends && empty.text.is_empty());
        assert_eq!(Line::parse(b"2026 elsewhere F x"), None);
        assert_eq!(Line::parse(b""), None);
    }
}
