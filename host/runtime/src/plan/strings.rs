use std::{ffi::CString, os::unix::ffi::OsStrExt as _, path::Path};

use wharf_error::{Error, Result};

/// A string for the kernel: without NUL.
pub(crate) fn c_string(what: &str, text: impl AsRef<Path>) -> Result<CString> {
    let text = text.as_ref();
    CString::new(text.as_os_str().as_bytes())
        .map_err(|_| Error::invalid(format!("{what} {text:?} contains a NUL byte")))
}

/// A path inside the root: absolute, not the root itself, without NUL.
pub(super) fn inside(what: &str, path: &Path) -> Result<Vec<u8>> {
    if !path.is_absolute() {
        return Err(Error::invalid(format!("{what} {path:?} is not absolute")));
    }
    if path.parent().is_none() {
        return Err(Error::invalid(format!("{what} {path:?} is the root itself")));
    }
    Ok(c_string(what, path)?.into_bytes())
}
