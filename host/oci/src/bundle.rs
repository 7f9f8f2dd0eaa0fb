use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use oci_spec::runtime::{Process, Spec};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
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
    let mut spec: Spec = decode(&bytes, "/process").step_as(Kind::InvalidArgument, step)?;
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
    let process: Process = decode(&bytes, "").step_as(Kind::InvalidArgument, step)?;
    Ok(by_numbers(process))
}

/// Reads JSON with a process at this pointer. One without a user is root's: the specification has the field as optional,
/// the types have it not.
fn decode<T: DeserializeOwned>(bytes: &[u8], process: &str) -> serde_json::Result<T> {
    serde_json::from_slice(bytes).or_else(|error| match with_root(bytes, process) {
        Some(whole) => serde_json::from_value(whole),
        None => Err(error),
    })
}

/// The same with root as the process's user, where it names none.
fn with_root(bytes: &[u8], process: &str) -> Option<Value> {
    let mut whole: Value = serde_json::from_slice(bytes).ok()?;
    let process = whole.pointer_mut(process)?.as_object_mut()?;
    if process.get("user").is_some_and(|user| !user.is_null()) {
        return None;
    }
    process.insert("user".to_owned(), json!({ "uid": 0, "gid": 0 }));
    Some(whole)
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
    fn who_is_not_named_is_root() {
        let user = |text: &str| decode::<Process>(text.as_bytes(), "").map(|process| process.user().clone());
        for none in [r#"{ "cwd": "/" }"#, r#"{ "cwd": "/", "user": null }"#, r#"{ "cwd": "/", "user": {} }"#] {
            let user = user(none).unwrap();
            assert_eq!((user.uid(), user.gid()), (0, 0), "{none}");
        }
        assert_eq!(user(r#"{ "cwd": "/", "user": { "uid": 7 } }"#).unwrap().uid(), 7);
        assert!(user(r#"{ "cwd": "/", "user": "root" }"#).unwrap_err().to_string().contains("line 1"));
        assert!(user(r#"{ "cwd": 1 }"#).is_err());
        let spec: Spec = decode(br#"{ "ociVersion": "1.0.0", "process": { "cwd": "/" } }"#, "/process").unwrap();
        assert_eq!(spec.process().as_ref().unwrap().user().uid(), 0);
    }

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
