use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::Network;

/// The longest file that is read.
const LONGEST: u64 = 1 << 20;

/// The first networks of a folder, in the order of their files' names; `most` of 0: all. Blocking.
///
/// A file that is wrong is an error and not left out: pods would come up on another network than was meant.
///
/// # Errors
///
/// `FailedPrecondition` where there is none, or one is wrong.
pub(crate) fn load(folder: &Path, most: usize) -> Result<Vec<Network>> {
    let files = files(folder)?;
    if files.is_empty() {
        return Err(none(folder));
    }
    let wanted = if most == 0 { files.len() } else { most };
    files.iter().take(wanted).map(|file| Network::parse(file, &read(file)?)).collect()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let step = || format!("read the folder of network configurations {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none(folder)),
        other => other.step_as(Kind::FailedPrecondition, step)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.step_as(Kind::FailedPrecondition, step)?.path();
        let known = path.extension().is_some_and(|end| ["conf", "conflist", "json"].iter().any(|known| end == *known));
        if known && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let step = || format!("network configuration {}", file.display());
    let mut text = Vec::new();
    let opened = File::open(file).step_as(Kind::FailedPrecondition, step)?;
    opened.take(LONGEST + 1).read_to_end(&mut text).step_as(Kind::FailedPrecondition, step)?;
    if text.len() as u64 > LONGEST {
        return Err(Error::new(Kind::FailedPrecondition, format!("{}: it is longer than {LONGEST} bytes", step())));
    }
    Ok(text)
}

/// In the words by which tools around Kubernetes know this state.
fn none(folder: &Path) -> Error {
    Error::new(
        Kind::FailedPrecondition,
        format!("cni plugin not initialized: no network configuration in {}", folder.display()),
    )
    .hint("install a network plugin, which puts a *.conflist there; pods on the node's network run without")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(dir.path(), 1).unwrap_err().to_string().contains("no network configuration"));
        assert!(load(&dir.path().join("gone"), 1).unwrap_err().to_string().contains("not initialized"));
        for name in ["20-b", "10-a", "30-c"] {
            let text = format!(r#"{{"name":"{name}","plugins":[{{"type":"t"}}]}}"#);
            fs::write(dir.path().join(name).with_extension("conflist"), text).unwrap();
        }
        fs::write(dir.path().join("00-readme.txt"), "not one of them").unwrap();
        fs::create_dir(dir.path().join("05-folder.conf")).unwrap();
        let names = |most| load(dir.path(), most).unwrap().into_iter().map(|n| n.name).collect::<Vec<_>>();
        assert_eq!(names(1), ["10-a"]);
        assert_eq!(names(2), ["10-a", "20-b"]);
        assert_eq!(names(0), ["10-a", "20-b", "30-c"]);
        fs::write(dir.path().join("01-broken.conf"), "{").unwrap();
        let error = load(dir.path(), 1).unwrap_err().to_string();
        assert!(error.contains("01-broken.conf"), "{error}");
    }

    #[test]
    fn a_file_without_end_is_not_read_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("10-big.conf")).unwrap();
        file.set_len(1 << 40).unwrap();
        assert!(load(dir.path(), 1).unwrap_err().to_string().contains("longer than"));
    }
}
