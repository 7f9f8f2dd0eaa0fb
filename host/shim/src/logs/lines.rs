use std::io::Write as _;

/// Which of a container's two streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Cuts a stream into CRI's lines: `<time> stdout F <line>`, or `P` for a part: of a line that is longer
/// than allowed, or that the stream's end cut off. Keeps at most one line that has not ended.
pub struct Lines {
    stream: Stream,
    max_line: usize,
    pending: Vec<u8>,
}

/// Above this an empty buffer is given back, bytes.
const KEEP: usize = 1024;

// === impl Lines ===

impl Lines {
    pub fn new(stream: Stream, max_line: usize) -> Self {
        Self { stream, max_line, pending: Vec::new() }
    }

    /// Appends to `out` the lines that `chunk` ends or makes too long.
    pub fn feed(&mut self, mut chunk: &[u8], time: &str, out: &mut Vec<u8>) {
        while !chunk.is_empty() {
            let (piece, ends) = match chunk.iter().position(|&byte| byte == b'\n') {
                Some(end) => (&chunk[..end], true),
                None => (chunk, false),
            };
            chunk = chunk.get(piece.len() + usize::from(ends)..).unwrap_or_default();
            let rest = self.cut(piece, time, out);
            if !ends {
                self.pending.extend_from_slice(rest);
            } else if self.pending.is_empty() {
                self.line(b'F', rest, time, out);
            } else {
                self.pending.extend_from_slice(rest);
                self.flush(b'F', time, out);
            }
        }
    }

    /// The end of the stream: what is left has no line break, and a reader must not add one.
    pub fn finish(&mut self, time: &str, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.flush(b'P', time, out);
        }
    }

    /// Writes parts as long as line and piece together are too long, and returns what is left of the piece.
    fn cut<'p>(&mut self, mut piece: &'p [u8], time: &str, out: &mut Vec<u8>) -> &'p [u8] {
        while self.pending.len() + piece.len() > self.max_line {
            let (head, tail) = piece.split_at(self.max_line - self.pending.len());
            let mut part = std::mem::take(&mut self.pending);
            part.extend_from_slice(head);
            self.line(b'P', &part, time, out);
            piece = tail;
        }
        piece
    }

    fn flush(&mut self, tag: u8, time: &str, out: &mut Vec<u8>) {
        let mut line = std::mem::take(&mut self.pending);
        self.line(tag, &line, time, out);
        line.clear();
        if line.capacity() <= KEEP {
            self.pending = line;
        }
    }

    fn line(&self, tag: u8, line: &[u8], time: &str, out: &mut Vec<u8>) {
        let stream = match self.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        // Writing to a vector does not fail.
        drop(write!(out, "{time} {stream} {} ", char::from(tag)));
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the chunks one by one and returns tags and texts.
    fn cut(max_line: usize, chunks: &[&str]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::new(Stream::Stderr, max_line), Vec::new());
        for chunk in chunks {
            lines.feed(chunk.as_bytes(), "T", &mut out);
            assert!(lines.pending.len() <= max_line);
        }
        lines.finish("T", &mut out);
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| line.strip_prefix("T stderr ").unwrap().to_owned()).collect()
    }

    #[test]
    fn lines_end_at_newlines_wherever_the_chunks_do() {
        for chunks in [&["one\n\ntwo\nthree"][..], &["o", "ne", "\n", "\ntw", "o\nthr", "ee"]] {
            assert_eq!(cut(16, chunks), ["F one", "F ", "F two", "P three"], "{chunks:?}");
        }
        assert_eq!(cut(16, &["a\n"]), ["F a"]);
        assert!(cut(16, &[]).is_empty());
    }

    #[test]
    fn long_lines_are_cut_and_one_of_just_the_length_is_not() {
        assert_eq!(cut(4, &["abcd\n"]), ["F abcd"]);
        assert_eq!(cut(4, &["abcd", "\n"]), ["F abcd"]);
        assert_eq!(cut(4, &["abcdefghij\nk\n"]), ["P abcd", "P efgh", "F ij", "F k"]);
        assert_eq!(cut(4, &["abc", "def", "gh", "\n"]), ["P abcd", "F efgh"]);
        assert_eq!(cut(4, &["abcdefgh"]), ["P abcd", "P efgh"]);
    }
}
