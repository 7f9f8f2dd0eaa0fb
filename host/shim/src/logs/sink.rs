use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use wharf_error::{Kind, Result, ResultExt as _};

/// A log file. Output is never held back by it: what cannot be written is lost, and counted.
#[derive(Debug)]
pub struct Sink {
    file: File,
    path: PathBuf,
    /// A write broke off in the middle of a line.
    torn: bool,
    lost: u64,
}

// === impl Sink ===

impl Sink {
    /// Opens for appending, `0640`; made when absent, its folder is not.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { file: open(path)?, path: path.to_owned(), torn: false, lost: 0 })
    }

    /// Goes on in the file that has the log's name now; made when absent. When that cannot be opened the old one is
    /// written on, and no new one was made. Waits for the disk.
    pub fn reopen(sink: &Mutex<Self>) -> Result<()> {
        let path = sink.lock().unwrap_or_else(PoisonError::into_inner).path.clone();
        // Not under the lock: output goes on while a slow disk makes a file.
        let file = open(&path)?;
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.file = file;
        sink.torn = false;
        Ok(())
    }

    /// Appends whole lines; waits for the disk.
    pub fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match self.write(bytes) {
            Ok(()) if self.lost > 0 => {
                tracing::warn!(log = %self.path.display(), lost_bytes = self.lost, "the log can be written again");
                self.lost = 0;
            }
            Ok(()) => {}
            Err((written, error)) => {
                if self.lost == 0 {
                    tracing::warn!(log = %self.path.display(), %error, "the log cannot be written, output is lost");
                }
                self.torn |= written > 0;
                self.lost += (bytes.len() - written) as u64;
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.torn {
            self.file.write_all(b"\n").map_err(|error| (0, error))?;
            self.torn = false;
        }
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(libc::O_NOFOLLOW).open(path);
    file.step_as(Kind::FailedPrecondition, || format!("open the log {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_loses_output_and_nothing_else() {
        let mut full = Sink::open(Path::new("/dev/full")).unwrap();
        full.append(b"one\n");
        full.append(b"two\n");
        assert_eq!(full.lost, 8);
        assert!(!full.torn, "nothing was written");
    }

    #[test]
    fn after_a_torn_line_a_new_one_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sink = Sink::open(&path).unwrap();
        sink.append(b"half a");
        (sink.torn, sink.lost) = (true, 3);
        sink.append(b"whole\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "half a\nwhole\n");
        assert_eq!(sink.lost, 0);
    }

    #[test]
    fn no_folder_is_a_clear_error() {
        let error = Sink::open(Path::new("/does/not/exist/0.log")).unwrap_err();
        assert_eq!(error.kind(), Kind::FailedPrecondition);
        assert!(error.to_string().contains("/does/not/exist/0.log"), "{error}");
    }

    #[test]
    fn a_rotated_log_goes_on_in_a_new_file_or_in_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("0.log");
        let sink = Mutex::new(Sink::open(&path).unwrap());
        sink.lock().unwrap().append(b"one\n");
        std::fs::rename(&path, folder.join("0.log.1")).unwrap();
        Sink::reopen(&sink).unwrap();
        sink.lock().unwrap().append(b"two\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        let moved = dir.path().join("moved");
        std::fs::rename(&folder, &moved).unwrap();
        assert_eq!(Sink::reopen(&sink).unwrap_err().kind(), Kind::FailedPrecondition);
        sink.lock().unwrap().append(b"three\n");
        assert_eq!(std::fs::read_to_string(moved.join("0.log")).unwrap(), "two\nthree\n");
        assert!(!folder.exists(), "nothing new is there");
    }
}
