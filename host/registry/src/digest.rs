use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256};
use wharf_error::{Error, Kind, Result, ResultExt as _};

/// A running SHA-256, the one algorithm that images are addressed by.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

/// The digest of bytes in memory.
pub fn digest_of(bytes: &[u8]) -> Result<Digest> {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

/// The digest's hexadecimal part, where it is a well-formed SHA-256.
///
/// # Errors
/// `Unsupported` for any other algorithm: nothing may be fetched that could not be verified.
pub fn sha256_of(digest: &Digest) -> Result<&str> {
    match digest.algorithm() {
        DigestAlgorithm::Sha256 => Ok(digest.digest()),
        other => Err(Error::new(Kind::Unsupported, format!("digest {digest}: algorithm {other} is not supported"))),
    }
}

/// Whether the bytes are what the digest says.
///
/// # Errors
/// `DataLoss` naming `what` and both digests.
pub fn verify(what: &str, bytes: &[u8], digest: &Digest) -> Result<()> {
    sha256_of(digest)?;
    let found = digest_of(bytes)?;
    if found == *digest {
        return Ok(());
    }
    Err(Error::new(Kind::DataLoss, format!("{what}: digest is {found}, {digest} was asked for")))
}

// === impl Hasher ===

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> Result<Digest> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in self.0.finalize() {
            let _ = write!(text, "{byte:02x}");
        }
        text.parse::<Digest>().step(|| "format a digest".into())
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_digest_names_both() {
        let empty: Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse().unwrap();
        verify("manifest", b"", &empty).unwrap();
        let error = verify("manifest", b"x", &empty).unwrap_err();
        assert_eq!(error.kind(), Kind::DataLoss);
        assert!(error.to_string().contains("sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"));
    }

    #[test]
    fn another_algorithm_is_refused_before_it_is_needed() {
        let sha512: Digest = format!("sha512:{}", "a".repeat(128)).parse().unwrap();
        assert_eq!(sha256_of(&sha512).unwrap_err().kind(), Kind::Unsupported);
    }
}
