use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use oci_spec::runtime::{Process, Spec};
use wharf_error::{Error, Kind, Result, ResultExt as _};

/// A bundle that can be made into a container.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) path: PathBuf,
    pub(crate) spec: Spec,
    /// The root, without symlinks on the way to it.
    pub(crate) rootfs: PathBuf,
}

/// Reads and judges a bundle.
pub(crate) fn load(path: Option<&Path>) -> Result<Bundle> {
    let path = path.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let path = fs::canonicalize(path).step_as(Kind::InvalidArgument, || format!("bundle {}", path.display()))?;
    let file = path.join("config.json");
    let bytes = match fs::read(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let what = format!("JSON specification file config.json not found in {}", path.display());
            return Err(Error::invalid(what));
        }
        other => other.step(|| format!("read {}", file.display()))?,
    };
    let step = || format!("read {}", file.display());
    let mut spec: Spec = serde_json::from_slice(&bytes).step_as(Kind::InvalidArgument, step)?;
    check_version(spec.version()).step(step)?;
    let process =
        spec.process().clone().ok_or_else(|| Error::invalid("process property must not be empty")).step(step)?;
    spec.set_process(Some(by_numbers(process)));
    let root = spec.root().as_ref().ok_or_else(|| Error::invalid("root must be specified")).step(step)?;
    let rootfs = path.join(root.path());
    let rootfs =
        fs::canonicalize(&rootfs).step_as(Kind::InvalidArgument, || format!("invalid rootfs {}", rootfs.display()))?;
    if !rootfs.is_dir() {
        return Err(Error::invalid(format!("invalid rootfs {}: it is no directory", rootfs.display())));
    }
    Ok(Bundle { path, spec, rootfs })
}

/// A process of a file.
pub(crate) fn load_process(path: &Path) -> Result<Process> {
    let step = || format!("read {}", path.display());
    let bytes = fs::read(path).step(step)?;
    let process: Process = serde_json::from_slice(&bytes).step_as(Kind::InvalidArgument, step)?;
    Ok(by_numbers(process))
}

/// A process whose user is told by numbers: on Linux the specification knows no names.
fn by_numbers(mut process: Process) -> Process {
    let mut user = process.user().clone();
    user.set_username(None);
    process.set_user(user);
    process
}

/// Major version 1 is what the specification promises to stay.
fn check_version(version: &str) -> Result<()> {
    let mut parts = version.splitn(3, '.');
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
    let (major, minor, patch) = (number(parts.next()), number(parts.next()), parts.next());
    let patch = patch.and_then(|patch| patch.split(['-', '+']).next()).and_then(|patch| patch.parse::<u32>().ok());
    match (major, minor, patch) {
        (Some(1), Some(_), Some(_)) => Ok(()),
        (Some(_), Some(_), Some(_)) => {
            Err(Error::new(Kind::Unsupported, format!("ociVersion {version} is not supported"))
                .hint("versions 1.x are"))
        }
        _ => Err(Error::invalid(format!("ociVersion {version:?} is no version"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged() {
        for good in ["1.0.0", "1.0.2-dev", "1.2.1", "1.3.0+build"] {
            check_version(good).unwrap();
        }
        assert_eq!(check_version("2.0.0").unwrap_err().kind(), Kind::Unsupported);
        assert_eq!(check_version("0.9.0").unwrap_err().kind(), Kind::Unsupported);
        for bad in ["", "1", "1.0", "one", "1.0.x"] {
            assert_eq!(check_version(bad).unwrap_err().kind(), Kind::InvalidArgument, "{bad}");
        }
    }
}
