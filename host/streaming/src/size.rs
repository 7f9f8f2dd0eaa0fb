use serde::Deserialize;
use tokio::sync::watch;

/// A terminal's size, characters.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// What may wait for the rest of a JSON object, bytes.
const LONGEST: usize = 1024;

/// Reads the sizes that a client sends as JSON objects one after the other, however they are cut.
pub(crate) struct Sizes {
    pending: Vec<u8>,
    told: watch::Sender<Option<TerminalSize>>,
}

// === impl Sizes ===

impl Sizes {
    /// What is told is the newest: a reader that is busy misses those between.
    pub(crate) fn new() -> (Self, watch::Receiver<Option<TerminalSize>>) {
        let (told, sizes) = watch::channel(None);
        (Self { pending: Vec::new(), told }, sizes)
    }

    /// What is no size is dropped, and so is one of nothing: a client's that does not know its own yet.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let mut read = serde_json::Deserializer::from_slice(&self.pending).into_iter::<TerminalSize>();
        let mut used = 0;
        let whole = loop {
            match read.next() {
                Some(Ok(size)) => {
                    used = read.byte_offset();
                    if size.width > 0 && size.height > 0 {
                        self.told.send_replace(Some(size));
                    }
                }
                Some(Err(error)) => break error.is_eof(),
                None => {
                    used = self.pending.len();
                    break true;
                }
            }
        };
        if whole && self.pending.len() - used <= LONGEST {
            self.pending.drain(..used);
        } else {
            tracing::debug!("a terminal size that is none was dropped");
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_however_they_are_cut() {
        let (mut sizes, told) = Sizes::new();
        sizes.feed(b"{\"Width\":80,\"Hei");
        assert_eq!(*told.borrow(), None);
        sizes.feed(b"ght\":24}\n{\"Width\":100,\"Height\":30}\n");
        assert_eq!(*told.borrow(), Some(TerminalSize { width: 100, height: 30 }));
        sizes.feed(b"nonsense{\"Width\":1,\"Height\":1}");
        sizes.feed(b"{\"Width\":99999999,\"Height\":1}");
        sizes.feed(&vec![b'{'; 5000]);
        assert_eq!(*told.borrow(), Some(TerminalSize { width: 100, height: 30 }));
        sizes.feed(b"{\"Width\":1,\"Height\":2}{\"Width\":0,\"Height\":0}{\"Width\":9,\"Height\":0}");
        assert_eq!(*told.borrow(), Some(TerminalSize { width: 1, height: 2 }));
    }
}
