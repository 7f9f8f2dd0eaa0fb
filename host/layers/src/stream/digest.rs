use sha2::{Digest as _, Sha256, Sha512};
use wharf_error::{Error, Kind, Result};

/// A running hash and the count of its bytes.
pub(crate) struct Digest {
    hasher: Hasher,
    bytes: u64,
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

// === impl Digest ===

impl Digest {
    /// By the algorithm of the digest that was promised; SHA-256 where none was, or one of another algorithm, which
    /// [`verify`] refuses.
    pub(crate) fn like(promised: Option<&str>) -> Self {
        let hasher = match promised {
            Some(promised) if promised.starts_with("sha512:") => Hasher::Sha512(Box::default()),
            _ => Hasher::Sha256(Sha256::default()),
        };
        Self { hasher, bytes: 0 }
    }

    pub(crate) fn update(&mut self, chunk: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(chunk),
            Hasher::Sha512(hasher) => hasher.update(chunk),
        }
        self.bytes += chunk.len() as u64;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `sha256:…` or `sha512:…`, and how many bytes it is of.
    pub(crate) fn finish(self) -> (String, u64) {
        let text = match self.hasher {
            Hasher::Sha256(hasher) => text("sha256:", &hasher.finalize()),
            Hasher::Sha512(hasher) => text("sha512:", &hasher.finalize()),
        };
        (text, self.bytes)
    }
}

fn text(algorithm: &str, hash: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = algorithm.to_owned();
    for byte in hash {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Holds a computed digest to the one that was promised.
pub(crate) fn verify(what: &str, computed: &str, promised: &str) -> Result<()> {
    if !promised.starts_with("sha256:") && !promised.starts_with("sha512:") {
        let text = format!("layer: {what} {promised:?} is neither sha256 nor sha512");
        return Err(Error::new(Kind::Unsupported, text));
    }
    if computed != promised {
        return Err(Error::new(Kind::DataLoss, format!("layer: {what} is {computed}, not {promised}")));
    }
    Ok(())
}
