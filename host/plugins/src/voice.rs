use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::Level;

/// What one call says: by the log interface and by the standard streams. Bounded; what is too much is dropped, and one
/// line says so.
#[derive(Clone)]
pub(crate) struct Voice(Arc<Mutex<Inner>>);

struct Inner {
    plugin: Arc<str>,
    function: &'static str,
    layer: Option<u64>,
    left: usize,
    /// Unfinished lines of standard output and standard error.
    partial: [Vec<u8>; 2],
    /// The last lines of standard error: a guest that panics says there why.
    last_words: VecDeque<String>,
}

/// A standard stream of a guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// What an unfinished line may have before it is broken.
const LONGEST_LINE: usize = 4096;

/// How many lines of standard error are kept for an error message.
const LAST_WORDS: usize = 3;

// === impl Voice ===

impl Voice {
    pub(crate) fn new(plugin: Arc<str>, function: &'static str, layer: Option<u64>, bytes: usize) -> Self {
        let (partial, last_words) = (Default::default(), VecDeque::new());
        Self(Arc::new(Mutex::new(Inner { plugin, function, layer, left: bytes, partial, last_words })))
    }

    /// One line, with fields behind it.
    pub(crate) fn say(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let mut line = crate::contract::tame(message);
        for (key, value) in fields.iter().take(32) {
            line = format!("{line} {}={}", crate::contract::tame(key), crate::contract::tame(value));
        }
        self.lock().emit(level, &line);
    }

    /// Bytes of a standard stream, lines as they end.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut inner = self.lock();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let partial = &mut inner.partial[stream as usize];
            let room = LONGEST_LINE.saturating_sub(partial.len());
            partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                inner.end_line(stream);
            }
        }
    }

    /// Ends unfinished lines and answers what was last said on standard error.
    pub(crate) fn end(&self) -> Option<String> {
        let mut inner = self.lock();
        for stream in [Stream::Out, Stream::Err] {
            if !inner.partial[stream as usize].is_empty() {
                inner.end_line(stream);
            }
        }
        let words: Vec<String> = mem::take(&mut inner.last_words).into();
        (!words.is_empty()).then(|| words.join(" "))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn end_line(&mut self, stream: Stream) {
        let bytes = mem::take(&mut self.partial[stream as usize]);
        let line = crate::contract::tame(&String::from_utf8_lossy(&bytes));
        if line.is_empty() {
            return;
        }
        if stream == Stream::Err {
            self.last_words.push_back(line.clone());
            if self.last_words.len() > LAST_WORDS {
                self.last_words.pop_front();
            }
        }
        self.emit(if stream == Stream::Err { Level::WARN } else { Level::INFO }, &line);
    }

    fn emit(&mut self, level: Level, line: &str) {
        if self.left == 0 {
            return;
        }
        let Some(left) = self.left.checked_sub(line.len().max(1)) else {
            self.left = 0;
            let (plugin, function) = (&self.plugin, self.function);
            tracing::warn!(target: "plugin", %plugin, function, layer = self.layer, "log limit of the call reached, the rest is dropped");
            return;
        };
        self.left = left;
        let (plugin, function, layer) = (&self.plugin, self.function, self.layer);
        match level {
            Level::ERROR => tracing::error!(target: "plugin", %plugin, function, layer, "{line}"),
            Level::WARN => tracing::warn!(target: "plugin", %plugin, function, layer, "{line}"),
            Level::INFO => tracing::info!(target: "plugin", %plugin, function, layer, "{line}"),
            Level::DEBUG => tracing::debug!(target: "plugin", %plugin, function, layer, "{line}"),
            _ => tracing::trace!(target: "plugin", %plugin, function, layer, "{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(bytes: usize) -> Voice {
        Voice::new("test".into(), "probe", None, bytes)
    }

    #[test]
    fn the_last_words_are_the_end_of_standard_error() {
        let voice = voice(1000);
        voice.write(Stream::Err, b"one\ntwo\nthr");
        voice.write(Stream::Out, b"not this\n");
        voice.write(Stream::Err, b"ee\nfour");
        assert_eq!(voice.end().as_deref(), Some("two three four"));
        assert_eq!(voice.end(), None, "said once");
    }

    #[test]
    fn a_call_cannot_say_more_than_its_limit() {
        let voice = voice(10);
        for _ in 0..1000 {
            voice.say(Level::INFO, "123456", &[]);
        }
        assert_eq!(voice.lock().left, 0);
    }

    #[test]
    fn a_line_without_end_is_not_collected() {
        let voice = voice(usize::MAX);
        for _ in 0..1000 {
            voice.write(Stream::Err, &[b'x'; 1000]);
        }
        assert!(voice.lock().partial[Stream::Err as usize].len() <= LONGEST_LINE);
    }
}
