use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use wharf_testkit::unpacked_package;

/// critest loads its profiles by this name, also as root.
const SUDO: &str = "#!/bin/sh\nexec \"$@\"\n";

/// critest takes any word of the parser's for an error, and one that is not installed misses its folders.
const CONFIGURED: &str = "--config-file /dev/null --cache-loc";

/// What AppArmor needs beside the kernel: `apparmor_parser` for the daemon and critest, and a `sudo` for critest alone.
pub struct AppArmor {
    folder: TempDir,
}

impl AppArmor {
    /// Whether this kernel has it at work.
    pub fn is_enabled() -> bool {
        fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.trim() == "Y")
            && Path::new("/sys/kernel/security/apparmor/profiles").exists()
    }

    /// The parser's package, fetched if it must be.
    pub fn package() -> Result<PathBuf> {
        unpacked_package("apparmor")
    }

    /// A folder with both.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("wharf-critest-bin-").tempdir().context("make a folder")?;
        let (package, cache) = (Self::package()?, folder.path().join("cache"));
        let parser = format!(
            "#!/bin/sh\nexec '{}' --base '{}' {CONFIGURED} '{}' \"$@\"\n",
            package.join("sbin/apparmor_parser").display(),
            package.join("etc/apparmor.d").display(),
            cache.display()
        );
        for (name, text) in [("apparmor_parser", parser.as_str()), ("sudo", SUDO)] {
            let path = folder.path().join(name);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
            let program = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&path, program).with_context(|| format!("make {} a program", path.display()))?;
        }
        Ok(Self { folder })
    }

    /// To be looked into before `PATH`.
    pub fn programs(&self) -> &Path {
        self.folder.path()
    }
}
