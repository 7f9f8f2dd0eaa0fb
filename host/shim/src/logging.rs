//! The shim's own log: JSON lines with the request that they belong to, bounded in size.
//!
//! A subscriber of a hundred lines instead of a library of ten thousand: fifty shims run on a node.

use std::{
    fmt::{self, Write as _},
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use wharf_error::{Result, ResultExt as _};

use crate::{operation, start::open_log};

/// Beyond this the log becomes `log.old` and a new one begins, bytes.
const MAX_SIZE: u64 = 1024 * 1024;

struct JsonLines {
    level: Level,
    path: PathBuf,
    out: Mutex<Out>,
}

struct Out {
    file: File,
    size: u64,
}

/// Sends all events of this process to the file, or FIFO, at `path`.
pub fn init(path: &Path, debug: bool) -> Result<()> {
    let file = open_log(path).step(|| format!("open {}", path.display()))?;
    let size = file.metadata().map(|meta| meta.len()).unwrap_or(0);
    let level = if debug { Level::DEBUG } else { Level::INFO };
    let lines = JsonLines { level, path: path.to_owned(), out: Mutex::new(Out { file, size }) };
    tracing::subscriber::set_global_default(lines).step(|| "set up the log".into())
}

// === impl JsonLines ===

impl Subscriber for JsonLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Fields(Map::new());
        line.0.insert("time".into(), crate::logs::now().into());
        line.0.insert("level".into(), event.metadata().level().as_str().into());
        if let Some(request) = operation::current_request() {
            line.0.insert("request".into(), request.into());
        }
        event.record(&mut line);
        let mut text = Value::Object(line.0).to_string();
        text.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.size > MAX_SIZE {
            out.rotate(&self.path);
        }
        // A full disk must not stop a supervisor: the line is lost.
        if out.file.write_all(text.as_bytes()).is_ok() {
            out.size += text.len() as u64;
        }
    }

    // Requests are told apart by `operation`, not by spans.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

// === impl Out ===

impl Out {
    fn rotate(&mut self, path: &Path) {
        // Only a regular file has a size; should this fail, the next try is a megabyte away.
        self.size = 0;
        if fs::rename(path, path.with_extension("old")).is_ok()
            && let Ok(file) = open_log(path)
        {
            self.file = file;
        }
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.0.insert(field.name().into(), text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
}
