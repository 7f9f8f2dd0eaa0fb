use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{Line, tail::tail};

/// How often a log is looked at that has nothing new.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads a log line by line, and goes on in the next file when it is rotated.
pub(super) struct Follower {
    path: PathBuf,
    file: BufReader<File>,
    /// The file that has its name now, for when this one is read to its end.
    next: Option<File>,
    line: Vec<u8>,
}

// === impl Follower ===

impl Follower {
    /// From the beginning, or so many lines before the end.
    pub(super) fn open(path: &Path, lines: Option<usize>) -> Result<Self> {
        let what = || format!("open the log {}", path.display());
        let mut file = File::open(path).with_context(what)?;
        if let Some(lines) = lines {
            let begin = tail(&mut file, lines).with_context(what)?;
            file.seek(SeekFrom::Start(begin)).with_context(what)?;
        }
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), next: None, line: Vec::new() })
    }

    /// The next line that is whole; none for now. What is no line of a log is left out.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>> {
        loop {
            if self.line.ends_with(b"\n") {
                self.line.clear();
            }
            let read = self.file.read_until(b'\n', &mut self.line);
            read.with_context(|| format!("read the log {}", self.path.display()))?;
            if !self.line.ends_with(b"\n") {
                // Half a line: its rest comes yet, unless the file was rotated.
                if let Some(next) = self.next.take() {
                    self.file = BufReader::new(next);
                    self.line.clear();
                } else if !self.emptied()? && !self.rotated()? {
                    return Ok(None);
                }
                continue;
            }
            let end = self.line.len() - 1;
            if Line::parse(&self.line[..end]).is_some() {
                return Ok(Line::parse(&self.line[..end]));
            }
        }
    }

    /// A little later there may be more.
    pub(super) async fn wait(&self) {
        tokio::time::sleep(PAUSE).await;
    }

    /// Whether it has become shorter than what was read of it: a rotation that copies it and empties it where it is. Then it
    /// is read from its beginning.
    fn emptied(&mut self) -> Result<bool> {
        let mut look = || -> io::Result<bool> {
            if self.file.get_ref().metadata()?.len() >= self.file.stream_position()? {
                return Ok(false);
            }
            self.file.rewind()?;
            self.line.clear();
            Ok(true)
        };
        look().with_context(|| format!("read the log {}", self.path.display()))
    }

    /// Whether another file has the name now. Then this one has all that it will ever have, but was perhaps written to
    /// since its end was seen: it is read to the end again, and that one after it.
    fn rotated(&mut self) -> Result<bool> {
        let file = match File::open(&self.path) {
            // Moved away, and not made anew yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.with_context(|| format!("open the log {}", self.path.display()))?,
        };
        let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        let (new, old) = (file.metadata()?, self.file.get_ref().metadata()?);
        if same(&new, &old) {
            return Ok(false);
        }
        self.next = Some(file);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn texts(follower: &mut Follower) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(line) = follower.next().unwrap() {
            texts.push(String::from_utf8_lossy(line.text).into_owned());
        }
        texts
    }

    #[test]
    fn a_log_is_followed_through_its_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut log = File::create(&path).unwrap();
        log.write_all(b"T stdout F one\nnonsense\nT stdout F tw").unwrap();
        let mut follower = Follower::open(&path, None).unwrap();
        assert_eq!(texts(&mut follower), ["one"]);
        log.write_all(b"o\n").unwrap();
        assert_eq!(texts(&mut follower), ["two"]);
        std::fs::rename(&path, dir.path().join("0.log.1")).unwrap();
        log.write_all(b"T stdout F last\n").unwrap();
        assert_eq!(texts(&mut follower), ["last"]);
        std::fs::write(&path, "T stderr F new\n").unwrap();
        assert_eq!(texts(&mut follower), ["new"]);
    }

    #[test]
    fn a_log_that_is_emptied_where_it_is_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut log = File::options().create(true).append(true).open(&path).unwrap();
        log.write_all(b"T stdout F one\nT stdout F two\nT stdout F ha").unwrap();
        let mut follower = Follower::open(&path, None).unwrap();
        assert_eq!(texts(&mut follower), ["one", "two"]);
        log.set_len(0).unwrap();
        log.write_all(b"T stdout F new\n").unwrap();
        assert_eq!(texts(&mut follower), ["new"]);
        log.set_len(0).unwrap();
        assert_eq!(texts(&mut follower), [""; 0]);
        log.write_all(b"T stdout F more\n").unwrap();
        assert_eq!(texts(&mut follower), ["more"]);
    }

    #[test]
    fn what_is_written_just_before_a_rotation_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut log = File::create(&path).unwrap();
        let mut follower = Follower::open(&path, None).unwrap();
        assert!(follower.next().unwrap().is_none(), "its end is seen");
        log.write_all(b"T stdout F late\n").unwrap();
        std::fs::rename(&path, dir.path().join("0.log.1")).unwrap();
        std::fs::write(&path, "T stdout F new\n").unwrap();
        assert!(follower.rotated().unwrap(), "what the follower asks next");
        assert_eq!(texts(&mut follower), ["late", "new"]);
    }
}
