use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// A socket as people name it: by its path, or as `unix://` and the path.
pub(crate) fn socket_path(named: &Path) -> PathBuf {
    let path = named.as_os_str().as_bytes().strip_prefix(b"unix://");
    path.map_or_else(|| named.to_owned(), |path| OsStr::from_bytes(path).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_no_part_of_the_path() {
        for (named, path) in [("unix:///run/a.sock", "/run/a.sock"), ("/run/a.sock", "/run/a.sock"), ("a", "a")] {
            assert_eq!(socket_path(Path::new(named)), Path::new(path));
        }
    }
}
