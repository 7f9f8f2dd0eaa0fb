use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

/// A path as part of a URI: every byte that means something there, or nothing printable, is escaped.
pub fn encode(path: &Path) -> String {
    let mut out = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~:@+,=".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The path that a URI names; `None` for a broken escape or one that means NUL.
pub fn decode(text: &str) -> Option<PathBuf> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        match u8::try_from(high * 16 + low).ok()? {
            0 => return None,
            byte => out.push(byte),
        }
    }
    Some(PathBuf::from(OsString::from_vec(out)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_goes_round() {
        let all = PathBuf::from(OsString::from_vec((1..=255).collect()));
        let text = encode(&all);
        assert!(text.is_ascii() && !text.contains(['?', '#', ' ']), "{text}");
        assert_eq!(decode(&text).unwrap(), all);
    }

    #[test]
    fn broken_escapes_are_refused() {
        for bad in ["%", "%4", "%zz", "a%00b"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
