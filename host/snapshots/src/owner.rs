use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

/// Says whose layers are in a plugin's folder.
const FILE: &str = ".wharf-store-id";

/// Makes sure that `root` holds the layers of the store `id`: an unmounted disk, an unimported pool or somebody
/// else's folder must not be taken for one in which everything is missing. An empty one becomes ours, unless
/// `expected` layers are recorded to be there.
///
/// # Errors
/// `FailedPrecondition` saying whose it is or what is missing.
pub(crate) fn claim(root: &Path, id: &str, expected: usize) -> Result<()> {
    let what = || format!("snapshots {}", root.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(root).step(what)?;
    let file = root.join(FILE);
    let there = match fs::read_to_string(&file) {
        Ok(there) => there.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).step(|| format!("read {}", file.display())),
    };
    if there == id {
        return Ok(());
    }
    let refuse = |why: &str| Error::new(Kind::FailedPrecondition, what()).because(why.to_owned());
    if !there.is_empty() {
        return Err(refuse(&format!("the layers in it belong to the store {there}, not to {id}"))
            .hint("give each store a root of its own, or empty the folder"));
    }
    if has_layers(root).step(what)? {
        return Err(refuse(&format!("there are layers in it, but no {FILE}"))
            .hint("restore the file, or empty the folder if nothing in it is needed"));
    }
    if expected > 0 {
        return Err(refuse(&format!("it is empty, but {expected} snapshots are recorded")).hint("is its disk mounted?"));
    }
    write(root, &file, id).step(|| format!("write {}", file.display()))
}

/// Hidden entries are no layers: what a plugin's host keeps for itself.
fn has_layers(root: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(root)? {
        if !entry?.file_name().as_encoded_bytes().starts_with(b".") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn write(root: &Path, file: &Path, id: &str) -> io::Result<()> {
    let temporary = root.join(format!("{FILE}.new"));
    let mut options = fs::OpenOptions::new();
    let mut new = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    new.write_all(format!("{id}\n").as_bytes())?;
    new.sync_all()?;
    fs::rename(&temporary, file)?;
    fs::File::open(root)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_ours_once_it_was_empty_and_no_other_way() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("overlayfs");
        let error = claim(&root, "me", 3).unwrap_err();
        assert!(error.to_string().contains("it is empty, but 3 snapshots are recorded"), "{error}");
        fs::create_dir(root.join(".trash")).unwrap();
        claim(&root, "me", 0).unwrap();
        fs::create_dir(root.join("1")).unwrap();
        claim(&root, "me", 1).unwrap();
        let error = claim(&root, "you", 0).unwrap_err();
        assert!(error.to_string().contains("belong to the store me, not to you"), "{error}");
        fs::remove_file(root.join(FILE)).unwrap();
        let error = claim(&root, "me", 1).unwrap_err();
        assert!(error.to_string().contains("there are layers in it"), "{error}");
        assert_eq!(error.kind(), Kind::FailedPrecondition);
    }
}
