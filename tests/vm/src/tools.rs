use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::{apt_is_here, in_path, install_missing, unpacked_package};

/// The programs that a guest is made with.
#[derive(Clone, Debug)]
pub struct Tools {
    /// `qemu-system-x86_64`
    pub(crate) qemu: PathBuf,
    /// Serves this machine's files to the guest.
    pub(crate) virtiofsd: PathBuf,
    /// Linked statically: the guest has no libraries before it has its root.
    pub(crate) busybox: PathBuf,
}

/// Packages that must be installed, for their programs need files of theirs at fixed places.
const INSTALLED: &[(&str, &str)] = &[("qemu-system-x86_64", "qemu-system-x86"), ("depmod", "kmod")];
/// And for guests that have it as their first process.
const FOR_SYSTEMD: &[(&str, &str)] = &[("systemctl", "systemd")];

impl Tools {
    /// Finds them; those that are missing and can be fetched without being installed are fetched.
    ///
    /// # Errors
    ///
    /// When one is missing, with the package to install; on a processor that is no x86-64.
    pub fn find() -> Result<Self> {
        ensure!(cfg!(target_arch = "x86_64"), "the guest is an x86-64 machine, and this one is not");
        for (program, package) in INSTALLED {
            in_path(program).with_context(|| format!("{program} is missing: install the package {package}"))?;
        }
        let virtiofsd = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];
        let virtiofsd = virtiofsd.iter().map(PathBuf::from).find(|path| path.is_file());
        ensure!(apt_is_here(), "the guest's kernels are Debian's packages, and there is no apt-get to fetch them");
        let busybox = unpacked_package("busybox-static")?;
        let busybox = ["bin/busybox", "usr/bin/busybox"].iter().map(|path| busybox.join(path)).find(|p| p.is_file());
        Ok(Self {
            qemu: in_path("qemu-system-x86_64")?,
            virtiofsd: virtiofsd
                .context("virtiofsd is missing: install the package virtiofsd (Debian 12: qemu-system-common)")?,
            busybox: busybox.context("package busybox-static holds no busybox")?,
        })
    }

    /// Installs the packages of what is missing, as root and where there is apt.
    ///
    /// # Errors
    ///
    /// When apt fails, with its own words.
    pub fn install_missing() -> Result<()> {
        install_missing(&[INSTALLED, FOR_SYSTEMD].concat())
    }
}

/// Runs a program to its end and wants success; its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    ensure!(out.status.success(), "{command:?}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim());
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// As [`output`], for what it does.
pub fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}
