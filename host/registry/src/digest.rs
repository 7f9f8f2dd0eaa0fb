use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};
use wharf_error::{Error, Kind, Result, ResultExt as _};

/// The digest of bytes in memory, by SHA-256: what is ours to call.
///
/// # Errors
/// None that can happen.
pub fn digest_of(bytes: &[u8]) -> Result<Digest> {
    formatted("sha256", &Sha256::digest(bytes))
}

/// What a digest may be computed by: those of the image specification.
pub const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];

/// Whether a digest can be verified.
///
/// # Errors
/// `Unsupported` for any other algorithm: nothing may be fetched that could not be verified.
pub fn check_algorithm(digest: &Digest) -> Result<()> {
    let algorithm = digest.algorithm();
    if ALGORITHMS.contains(&algorithm.as_ref()) {
        return Ok(());
    }
    let text = format!("digest {digest}: algorithm {algorithm} is not supported, only {}", ALGORITHMS.join(" and "));
    Err(Error::new(Kind::Unsupported, text))
}

/// `sha256/<hex>` or `sha512/<hex>`: where an image layout has the blob of this digest, below `blobs`.
///
/// # Errors
/// As [`check_algorithm`].
pub fn path_of(digest: &Digest) -> Result<String> {
    check_algorithm(digest)?;
    Ok(format!("{}/{}", digest.algorithm(), digest.digest()))
}

/// Whether the bytes are what the digest says, by its own algorithm.
///
/// # Errors
/// `DataLoss` naming `what` and both digests; `Unsupported` as [`check_algorithm`].
pub fn verify(what: &str, bytes: &[u8], digest: &Digest) -> Result<()> {
    check_algorithm(digest)?;
    let found = match digest.algorithm() {
        DigestAlgorithm::Sha512 => formatted("sha512", &Sha512::digest(bytes))?,
        _ => digest_of(bytes)?,
    };
    if found == *digest {
        return Ok(());
    }
    Err(Error::new(Kind::DataLoss, format!("{what}: digest is {found}, {digest} was asked for")))
}

fn formatted(algorithm: &str, hash: &[u8]) -> Result<Digest> {
    use std::fmt::Write as _;
    let mut text = format!("{algorithm}:");
    for byte in hash {
        let _ = write!(text, "{byte:02x}");
    }
    text.parse::<Digest>().step(|| "format a digest".into())
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
    fn each_algorithm_by_itself_and_no_other() {
        let empty: Digest = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
            47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
            .parse()
            .unwrap();
        verify("manifest", b"", &empty).unwrap();
        assert_eq!(verify("manifest", b"x", &empty).unwrap_err().kind(), Kind::DataLoss);
        assert!(path_of(&empty).unwrap().starts_with("sha512/cf83e1"));
        let sha384: Digest = format!("sha384:{}", "a".repeat(96)).parse().unwrap();
        assert_eq!(path_of(&sha384).unwrap_err().kind(), Kind::Unsupported);
    }
}
