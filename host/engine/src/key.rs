use std::{fmt::Write as _, fs};

use sha2::{Digest, Sha256};

/// What compiled code depends on besides the component, as 16 hex digits: wasmtime, [`config`](crate::config()) and the
/// CPU's abilities. Part of a cached file's name, so that a new engine finds nothing instead of something wrong; that it
/// fits is checked by wasmtime itself when it loads the code.
///
/// # Errors
/// As `config`.
pub fn key() -> wasmtime::Result<String> {
    let mut hash = Sha256::new();
    hash.update(crate::WASMTIME_VERSION);
    hash.update(format!("{:?}", crate::config()?));
    hash.update(std::env::consts::ARCH);
    hash.update(cpu());
    let mut key = String::new();
    for byte in &hash.finalize()[..8] {
        let _ = write!(key, "{byte:02x}");
    }
    Ok(key)
}

/// The line of the first CPU that lists its abilities: `flags` on x86-64, `Features` on arm64.
fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines().find(|line| line.starts_with("flags") || line.starts_with("Features")).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_is_short_and_always_the_same() {
        let key = super::key().unwrap();
        assert_eq!(key.len(), 16);
        assert_eq!(key, super::key().unwrap());
        assert!(!super::cpu().is_empty(), "the CPU's abilities are part of it");
    }
}
