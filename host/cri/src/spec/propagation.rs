use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use wharf_error::{Result, ResultExt as _};

/// What a mount of the host's passes on to, or takes from, its peers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Propagation {
    pub(super) shared: bool,
    pub(super) slave: bool,
}

/// How the mount that holds `path` propagates.
pub(super) fn of(path: &Path) -> Result<Propagation> {
    let table = fs::read("/proc/self/mountinfo").step(|| "read /proc/self/mountinfo".into())?;
    Ok(find(&table, path))
}

/// Of mounts on one point the last is the one that is seen.
fn find(table: &[u8], path: &Path) -> Propagation {
    let mut best = (0, Propagation::default());
    for line in table.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let Some(point) = fields.nth(4).map(unescape) else { continue };
        let depth = point.components().count();
        if path.starts_with(&point) && depth >= best.0 {
            let tags: Vec<_> = fields.skip(1).take_while(|tag| *tag != b"-").collect();
            let has = |word: &[u8]| tags.iter().any(|tag| tag.starts_with(word));
            best = (depth, Propagation { shared: has(b"shared:"), slave: has(b"master:") });
        }
    }
    best.1
}

/// The kernel writes blanks as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n\
        2 1 0:20 / /mnt rw shared:5 - tmpfs tmpfs rw\n\
        3 2 0:21 / /mnt/a\\040b rw,nosuid master:5 - tmpfs tmpfs rw\n\
        4 1 0:22 / /mntx rw - tmpfs tmpfs rw\n\
        5 1 0:23 / /mnt/c rw - tmpfs tmpfs rw\n\
        6 5 0:24 / /mnt/c rw shared:9 - tmpfs tmpfs rw\n";

    #[test]
    fn the_mount_that_holds_a_path_counts() {
        let is = |path: &str, shared, slave| {
            assert_eq!(find(TABLE, Path::new(path)), Propagation { shared, slave }, "{path}");
        };
        is("/etc", false, false);
        is("/mnt", true, false);
        is("/mnt/deep/er", true, false);
        is("/mnt/a b/c", false, true);
        is("/mntx/y", false, false);
        is("/mnt/c/d", true, false);
    }
}
