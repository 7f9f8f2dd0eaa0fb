use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use wharf_testkit::in_path;

use crate::tools::run;

/// A disk with an empty ext4 on it: a sparse file that takes what is written.
#[derive(Clone, Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// When the file cannot be made, or `mkfs.ext4` fails or is not there.
    pub fn make(path: &Path, bytes: u64) -> Result<Self> {
        let file = File::create_new(path).with_context(|| format!("make the disk {}", path.display()))?;
        file.set_len(bytes).with_context(|| format!("make the disk {}", path.display()))?;
        // Its tables are written when they are used: the guest has no time for it in the background.
        run(Command::new(in_path("mkfs.ext4")?).args(["-q", "-E", "lazy_itable_init=1,nodiscard"]).arg(path))?;
        Ok(Self { path: path.to_owned() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
