use sha2::{Digest as _, Sha256};
use wharf_error::{Error, Kind, Result};

/// A running sha256 and the count of its bytes.
#[derive(Default)]
pub(crate) struct Digest {
    hasher: Sha256,
    bytes: u64,
}

// === impl Digest ===

impl Digest {
    pub(crate) fn update(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        self.bytes += chunk.len() as u64;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `sha256:…`, and how many bytes it is of.
    pub(crate) fn finish(self) -> (String, u64) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::from("sha256:");
        for byte in self.hasher.finalize() {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        (text, self.bytes)
    }
}

/// Holds a computed digest to the one that was promised.
pub(crate) fn verify(what: &str, computed: &str, promised: &str) -> Result<()> {
    if !promised.starts_with("sha256:") {
        return Err(Error::new(Kind::Unsupported, format!("layer: {what} {promised:?} is not sha256")));
    }
    if computed != promised {
        return Err(Error::new(Kind::DataLoss, format!("layer: {what} is {computed}, not {promised}")));
    }
    Ok(())
}
