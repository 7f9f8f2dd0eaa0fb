use std::path::PathBuf;

use oci_spec::runtime::Spec;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    edits::apply,
    name::Name,
    read::{File, files},
    spec::{Device, Edits},
};

/// The folders of CDI's files.
#[derive(Clone, Debug)]
pub struct Cdi {
    folders: Vec<PathBuf>,
}

/// A device, and the file that describes it.
struct Found<'a> {
    file: &'a File,
    device: &'a Device,
}

// === impl Cdi ===

impl Cdi {
    /// Looks in these folders: what a later one describes goes before an earlier one's of the same name. A folder that is
    /// not there is empty.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// Puts devices into a container's specification: their nodes with leave to open them, mounts, environment,
    /// hooks, groups.
    /// The order is CDI's: what a file has for all of its devices once, with the first of them. A name that comes twice
    /// counts once.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for what is no name; `NotFound` for a device that no file describes, with what is wrong with
    /// files that cannot be read; `FailedPrecondition` where two files of one folder describe it; `Unsupported` where it
    /// needs what this runtime does not have, as classes of Intel RDT.
    pub fn apply(&self, names: &[String], spec: &mut Spec) -> Result<()> {
        let mut wanted: Vec<Name> = Vec::new();
        for name in names {
            let name = name.parse()?;
            if !wanted.contains(&name) {
                wanted.push(name);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let (good, bad) = files(&self.folders)?;
        let mut whole: Vec<&File> = Vec::new();
        let mut edits: Vec<(String, &Edits)> = Vec::new();
        for name in &wanted {
            let found = find(name, &good, &bad, &self.folders)?;
            let what = format!("CDI device {name}");
            if !whole.iter().any(|file| file.path == found.file.path) {
                whole.push(found.file);
                edits.push((what.clone(), &found.file.spec.container_edits));
            }
            edits.push((what, &found.device.container_edits));
        }
        for (what, edits) in edits {
            apply(edits, spec).step(|| what)?;
        }
        Ok(())
    }
}

fn find<'a>(name: &Name, good: &'a [File], bad: &[Error], folders: &[PathBuf]) -> Result<Found<'a>> {
    let mut all: Vec<Found<'a>> = Vec::new();
    for file in good.iter().filter(|file| file.kind == name.kind) {
        let device = file.spec.devices.iter().find(|device| device.name == name.device);
        all.extend(device.map(|device| Found { file, device }));
    }
    let first = all.iter().map(|found| found.file.priority).max();
    all.retain(|found| Some(found.file.priority) == first);
    match all.len() {
        0 => {
            let searched: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let mut error = Error::not_found("CDI device", name);
            if !bad.is_empty() {
                let reasons: Vec<_> = bad.iter().map(ToString::to_string).collect();
                error = error.because(Error::invalid(reasons.join("; ")));
            }
            Err(error.hint(format!("looked for in {}", searched.join(", "))))
        }
        1 => Ok(all.remove(0)),
        _ => {
            let files: Vec<_> = all.iter().map(|found| found.file.path.display().to_string()).collect();
            let what = format!("CDI device {name} is described by several files: {}", files.join(", "));
            Err(Error::new(Kind::FailedPrecondition, what).hint("leave it to one of them"))
        }
    }
}
