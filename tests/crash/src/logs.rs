use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

/// What a container that wrote `line 1`, `line 2`, … has in its log: how many whole lines.
///
/// # Errors
///
/// When a line is missing, twice, out of order or no line of CRI's format. `cut`: its writer was killed, so that the last
/// may be half a line, or half a record.
pub fn numbered(path: &Path, cut: bool) -> Result<usize> {
    let text = match fs::read_to_string(path) {
        // One that was killed before its first line has made no file.
        Err(error) if cut && error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        read => read.with_context(|| format!("read the log {}", path.display()))?,
    };
    let mut whole = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(record) = lines.next() {
        let last = lines.peek().is_none();
        let expected = format!("line {}", whole + 1);
        match said(record) {
            Some(("F", line)) if line == expected => whole += 1,
            Some(("P" | "F", part)) if last && cut && expected.starts_with(part) => {}
            None if last && cut && !record.ends_with('\n') => {}
            _ => anyhow::bail!("the log {}: {record:?} where {expected:?} was to be", path.display()),
        }
    }
    ensure!(cut || text.is_empty() || text.ends_with('\n'), "the log {}: its last line is cut", path.display());
    Ok(whole)
}

// `2026-01-01T00:00:00.000000000Z stdout F line 1`
fn said(record: &str) -> Option<(&str, &str)> {
    let mut words = record.strip_suffix('\n')?.splitn(4, ' ');
    let (_, _, tag, rest) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some((tag, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn judge(text: &str, cut: bool) -> Result<usize> {
        let dir = wharf_testkit::WorkDir::new("crash-unit").unwrap();
        let path = dir.root().join("log");
        fs::write(&path, text).unwrap();
        numbered(&path, cut)
    }

    #[test]
    fn a_missing_or_doubled_line_is_seen_and_a_cut_one_only_forgiven_to_the_killed() {
        let line = |n: usize| format!("2026-01-01T00:00:00Z stdout F line {n}\n");
        assert_eq!(judge(&(line(1) + &line(2)), false).unwrap(), 2);
        judge(&(line(1) + &line(3)), true).unwrap_err();
        judge(&(line(1) + &line(1)), true).unwrap_err();
        judge(&line(2), true).unwrap_err();
        let cut = line(1) + "2026-01-01T00:00:00Z stdout P li\n";
        assert_eq!(judge(&cut, true).unwrap(), 1);
        judge(&cut, false).unwrap_err();
        let half = line(1) + "2026-01-01T00:0";
        assert_eq!(judge(&half, true).unwrap(), 1);
        judge(&half, false).unwrap_err();
        assert_eq!(judge("", false).unwrap(), 0);
    }
}
