use std::{
    fs::{File, OpenOptions},
    io::{IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::out::errln;

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// Words with their keys, as runc writes them
    Text,
    /// An object a line, with `level`, `msg` and `time`
    Json,
}

/// Where warnings and errors go: to the log file, and errors to standard error in any case.
#[derive(Debug)]
pub(crate) struct Report {
    file: Option<File>,
    format: Format,
    debug: bool,
}

// === impl Report ===

impl Report {
    /// A log file that cannot be opened is told on standard error; the work goes on.
    pub(crate) fn new(path: Option<&Path>, format: Format, debug: bool) -> Self {
        let open = |path| OpenOptions::new().append(true).create(true).mode(0o644).open(path);
        let file = path.filter(|path| !path.as_os_str().is_empty()).and_then(|path| match open(path) {
            Ok(file) => Some(file),
            Err(error) => {
                errln!("wharf-oci: log {}: {error}", path.display());
                None
            }
        });
        Self { file, format, debug }
    }

    /// What went wrong.
    pub(crate) fn error(&self, text: &str) {
        self.write("error", text);
        if self.file.is_some() {
            errln!("{text}");
        }
    }

    /// What was clamped or left out.
    pub(crate) fn warning(&self, text: &str) {
        self.write("warning", text);
    }

    /// What is done, with `--debug`.
    pub(crate) fn debug(&self, text: impl FnOnce() -> String) {
        if self.debug {
            self.write("debug", &text());
        }
    }

    /// A log that cannot be written is nobody's business.
    fn write(&self, level: &str, text: &str) {
        let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let line = match self.format {
            _ if self.file.is_none() && std::io::stderr().is_terminal() => format!("wharf-oci: {level}: {text}\n"),
            Format::Text => format!("time={time:?} level={level} msg={text:?}\n"),
            Format::Json => format!("{}\n", json!({ "level": level, "msg": text, "time": time })),
        };
        let _ = match &self.file {
            Some(file) => { file }.write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}
