use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use wharf_error::{Error, Kind, Result};

/// The program of a plugin: the first of this name in the folders that can be run.
///
/// # Errors
///
/// `FailedPrecondition` where there is none, with the folders.
pub(super) async fn find(folders: &[PathBuf], name: &str) -> Result<PathBuf> {
    for folder in folders {
        let path = folder.join(name);
        if is_program(&path).await {
            return Ok(path);
        }
    }
    let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(Error::new(Kind::FailedPrecondition, format!("there is no program {name:?} in {}", looked.join(", ")))
        .hint("install the network plugin there, or name its folder in [network] cni_bin_dirs"))
}

async fn is_program(path: &Path) -> bool {
    match tokio::fs::metadata(path).await {
        Ok(found) => found.is_file() && found.permissions().mode() & 0o111 != 0,
        Err(_) => false,
    }
}
