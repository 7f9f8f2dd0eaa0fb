use std::{
    collections::HashSet,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    name::{DeviceKind, check_device},
    spec::Spec,
    version,
};

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) kind: DeviceKind,
    pub(crate) spec: Spec,
    /// The place of its folder: a later one goes before an earlier one.
    pub(crate) priority: usize,
}

/// All files of the folders, those that cannot be read with the reason.
pub(crate) fn files(folders: &[PathBuf]) -> Result<(Vec<File>, Vec<Error>)> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (priority, folder) in folders.iter().enumerate() {
        for path in listed(folder)? {
            match file(&path, priority) {
                Ok(file) => good.push(file),
                Err(error) => bad.push(error),
            }
        }
    }
    Ok((good, bad))
}

/// The folder's `*.json`, `*.yaml` and `*.yml`; none where there is no folder.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("CDI: list {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.step(what)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.step(what)?.path();
        if path.extension().and_then(OsStr::to_str).is_some_and(|end| matches!(end, "json" | "yaml" | "yml")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn file(path: &Path, priority: usize) -> Result<File> {
    let what = || format!("CDI specification {}", path.display());
    let text = fs::read_to_string(path).step(what)?;
    let spec: Spec = if path.extension() == Some(OsStr::new("json")) {
        serde_json::from_str(&text).step_as(Kind::InvalidArgument, what)?
    } else {
        // As Go's YAML, for which the files are written: `fileMode: 0640` is octal.
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        serde_saphyr::from_str_with_options(&text, options)
            .map_err(|error| Error::invalid(format!("{}: {error}", what())))?
    };
    version::check(&spec).map_err(|why| Error::invalid(format!("{}: {why}", what())))?;
    let kind = spec.kind.parse().step(what)?;
    let mut names = HashSet::new();
    for device in &spec.devices {
        check_device(&device.name).map_err(|_| Error::invalid(format!("{}: device {:?}", what(), device.name)))?;
        if !names.insert(&device.name) {
            return Err(Error::invalid(format!("{}: device {:?} is described twice", what(), device.name)));
        }
    }
    if names.is_empty() {
        return Err(Error::invalid(format!("{}: it describes no device", what())));
    }
    Ok(File { path: path.to_owned(), kind, spec, priority })
}
