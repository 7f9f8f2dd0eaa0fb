use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};

use super::line::Line;

/// What is looked at first, from the end, bytes.
const WINDOW: u64 = 64 * 1024;

/// Where the last lines of a log begin. Parts of a long line count as the line that they are.
pub(super) fn tail(file: &mut File, lines: usize) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut window = WINDOW;
    loop {
        let begin = length.saturating_sub(window);
        file.seek(SeekFrom::Start(begin))?;
        let mut text = Vec::new();
        (&mut *file).take(length - begin).read_to_end(&mut text)?;
        if let Some(offset) = last(&text, lines, begin == 0) {
            return Ok(begin + offset as u64);
        }
        window *= 4;
    }
}

/// The offset within the end of a log; `None` where it is too short to tell.
fn last(text: &[u8], lines: usize, whole: bool) -> Option<usize> {
    if lines == 0 {
        return Some(text.len());
    }
    // Starts of physical lines. What stands before the first line break may be a line cut in two.
    let first = if whole { Some(0) } else { text.iter().position(|&byte| byte == b'\n').map(|at| at + 1) };
    let mut starts = Vec::new();
    let mut next = first;
    while let Some(start) = next.filter(|start| *start < text.len()) {
        starts.push(start);
        next = text[start..].iter().position(|&byte| byte == b'\n').map(|at| start + at + 1);
    }
    let mut left = lines;
    for (at, start) in starts.iter().enumerate().rev() {
        // A line begins where the one before it ended.
        let before = at.checked_sub(1).map(|before| &text[starts[before]..*start]);
        let begins = match before {
            Some(before) => Line::parse(before.strip_suffix(b"\n").unwrap_or(before)).is_none_or(|line| line.ends),
            None if whole => true,
            None => return None,
        };
        if begins {
            left -= 1;
            if left == 0 {
                return Some(*start);
            }
        }
    }
    whole.then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const LOG: &str = "T stdout F one\nT stdout P tw\nT stdout P o\nT stdout F !\nT stderr F three\n";

    fn shown(lines: usize) -> &'static str {
        &LOG[last(LOG.as_bytes(), lines, true).unwrap()..]
    }

    #[test]
    fn parts_of_a_line_are_one_line() {
        assert_eq!(shown(0), "");
        assert_eq!(shown(1), "T stderr F three\n");
        assert!(shown(2).starts_with("T stdout P tw\n"));
        assert_eq!(shown(3), LOG);
        assert_eq!(shown(99), LOG);
    }

    #[test]
    fn a_window_that_is_too_small_grows() {
        assert_eq!(last(&LOG.as_bytes()[3..], 3, false), None);
        let mut file = tempfile::tempfile().unwrap();
        let long = format!("T stdout F {}\n", "x".repeat(100));
        for _ in 0..5000 {
            file.write_all(long.as_bytes()).unwrap();
        }
        file.write_all(LOG.as_bytes()).unwrap();
        let length = file.metadata().unwrap().len();
        assert_eq!(length - tail(&mut file, 1).unwrap(), "T stderr F three\n".len() as u64);
        let lines = (length - tail(&mut file, 4003).unwrap() - LOG.len() as u64) / long.len() as u64;
        assert_eq!(lines, 4000);
        assert_eq!(tail(&mut file, 1_000_000).unwrap(), 0);
    }
}
