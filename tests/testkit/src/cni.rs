use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::packages::{apt_is_here, unpacked_package};

/// What Debian's iptables is made of besides the C library.
const IPTABLES: &[&str] = &[
    "iptables",
    "libxtables12",
    "libnftnl11",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libip4tc2",
    "libip6tc2",
];

/// Debian's network plugins (bridge, host-local, portmap and others), and the `iptables` that portmap runs: fetched into the
/// cache, nothing is installed.
#[derive(Clone, Debug)]
pub struct CniPlugins {
    folder: PathBuf,
    iptables: Option<PathBuf>,
    libraries: Vec<PathBuf>,
}

impl CniPlugins {
    /// Finds or fetches them.
    ///
    /// # Errors
    ///
    /// When apt is not here or does not know them.
    pub fn find() -> Result<Self> {
        ensure!(apt_is_here(), "there is no apt-get to fetch network plugins with");
        let installed = ["/usr/lib/cni", "/opt/cni/bin"].map(PathBuf::from);
        let folder = match installed.into_iter().find(|path| path.join("bridge").is_file()) {
            Some(found) => found,
            None => unpacked_package("containernetworking-plugins")?.join("usr/lib/cni"),
        };
        ensure!(
            folder.join("bridge").is_file(),
            "containernetworking-plugins holds no {}",
            folder.join("bridge").display()
        );
        let mut found = Self { folder, iptables: None, libraries: Vec::new() };
        if Command::new("iptables").arg("--version").output().is_ok_and(|out| out.status.success()) {
            return Ok(found);
        }
        for package in IPTABLES {
            let tree = unpacked_package(package)?;
            let programs = ["usr/sbin/xtables-nft-multi", "sbin/xtables-nft-multi"].map(|path| tree.join(path));
            found.iptables = found.iptables.or_else(|| programs.into_iter().find(|path| path.is_file()));
            found.libraries.extend(libraries(&tree.join("usr/lib")));
            found.libraries.extend(libraries(&tree.join("lib")));
        }
        ensure!(found.iptables.is_some(), "the package iptables holds no xtables-nft-multi");
        Ok(found)
    }

    /// The folder of the plugins.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts `iptables` and its relatives into a folder, to be found by `PATH`. Nothing where the machine has its own.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn put_iptables(&self, into: &Path) -> Result<()> {
        let Some(program) = &self.iptables else { return Ok(()) };
        fs::create_dir_all(into).with_context(|| format!("make {}", into.display()))?;
        // Beside each other, so that one word names them all: the program finds its extensions there too.
        let all = into.join("lib");
        fs::create_dir_all(&all)?;
        for library in &self.libraries {
            let link = all.join(library.file_name().context("a library has a name")?);
            if fs::symlink_metadata(&link).is_err() {
                symlink(library, &link).with_context(|| format!("make {}", link.display()))?;
            }
        }
        for name in
            ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"]
        {
            let path = into.join(name);
            let all = all.display();
            let text = format!(
                "#!/bin/sh\nLD_LIBRARY_PATH='{all}' XTABLES_LIBDIR='{all}' exec '{}' {name} \"$@\"\n",
                program.display()
            );
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

/// The shared objects at any depth of a folder.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(libraries(&path));
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so")) {
            found.push(path);
        }
    }
    found
}
