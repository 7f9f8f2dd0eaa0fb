use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::{cache_dir, lock_cache, unpacked_package};

use crate::{
    modules,
    tools::{output, run},
};

/// Which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Debian 12's own.
    V6_1,
    /// Of Debian 13, offered to Debian 12 too.
    V6_12,
}

/// A kernel and its modules, in the test cache: fetched once, and again when its folder there is removed.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// `6.12.117+deb12-cloud-amd64`
    pub release: String,
    /// What QEMU loads.
    pub(crate) image: PathBuf,
    /// Its modules, unpacked, with the index that modprobe reads.
    pub(crate) modules: PathBuf,
}

/// Begins a stream of zstd, with which newer kernels pack themselves.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl Version {
    /// Asked for its real package, whose name has the version in it. Of the cloud kernels: small, with virtio built in.
    fn package(self) -> &'static str {
        match self {
            Self::V6_1 => "linux-image-cloud-amd64",
            Self::V6_12 => "linux-image-6.12-cloud-amd64",
        }
    }

    /// `6.12`, as `uname -r` begins.
    pub fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }
}

impl Kernel {
    /// Fetches it into the test cache, once.
    ///
    /// # Errors
    ///
    /// When the distribution has no such kernel, or it cannot be fetched.
    pub fn fetch(version: Version) -> Result<Self> {
        let ready = cache_dir()?.join("kernels").join(version.package());
        if !ready.is_dir() {
            let unpacked = unpacked_package(&real_package(version)?)?;
            let _lock = lock_cache()?;
            if !ready.is_dir() {
                prepare(&unpacked, &ready)?;
            }
        }
        let release = fs::read_to_string(ready.join("release")).context("read the kernel's release")?;
        let found = release.split('.').take(2).collect::<Vec<_>>().join(".");
        ensure!(
            found == version.name(),
            "this distribution's {} is {release}, not a {}",
            version.package(),
            version.name()
        );
        Ok(Self { image: ready.join("image"), modules: ready.join("modules"), release })
    }
}

fn real_package(version: Version) -> Result<String> {
    let package = version.package();
    let ask = || output(Command::new("apt-cache").args(["depends", package]));
    let named = |text: &str| {
        text.lines().find_map(|line| {
            line.trim().strip_prefix("Depends: ").filter(|p| p.starts_with("linux-image-")).map(str::to_owned)
        })
    };
    if let Some(found) = ask().ok().as_deref().and_then(named) {
        return Ok(found);
    }
    // A machine that has never asked its mirror has no lists.
    run(Command::new("apt-get").args(["-q", "update"]))?;
    named(&ask()?).with_context(|| format!("package {package} names no kernel"))
}

fn prepare(unpacked: &Path, ready: &Path) -> Result<()> {
    let parent = ready.parent().context("a folder in the cache")?;
    fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    let work = tempfile::tempdir_in(parent).context("make a folder to unpack into")?;
    let (packed, release) = image_in(unpacked)?;
    let bytes = fs::read(&packed).with_context(|| format!("read {}", packed.display()))?;
    // Unpacked here once, and not in each guest at a quarter of the speed.
    fs::write(work.path().join("image"), unpack(&bytes).unwrap_or(bytes)).context("write the kernel")?;
    let tree =
        ["lib/modules", "usr/lib/modules"].iter().map(|dir| unpacked.join(dir).join(&release)).find(|d| d.is_dir());
    let tree = tree.with_context(|| format!("{} holds no modules of {release}", unpacked.display()))?;
    modules::prepare(&tree, &work.path().join("modules"), &release)?;
    fs::write(work.path().join("release"), &release).context("write the kernel's release")?;
    fs::rename(work.path(), ready).with_context(|| format!("keep {}", ready.display()))
}

fn image_in(unpacked: &Path) -> Result<(PathBuf, String)> {
    let boot = unpacked.join("boot");
    let names = fs::read_dir(&boot).with_context(|| format!("read {}", boot.display()))?;
    let names = names.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let release = names.filter_map(|name| Some(name.strip_prefix("vmlinuz-")?.to_owned())).next();
    let release = release.with_context(|| format!("{} holds no vmlinuz", boot.display()))?;
    Ok((boot.join(format!("vmlinuz-{release}")), release))
}

/// The ELF image inside a vmlinuz packed with zstd; others are left to unpack themselves.
fn unpack(vmlinuz: &[u8]) -> Option<Vec<u8>> {
    let starts = vmlinuz.windows(ZSTD.len()).enumerate().filter(|(_, window)| *window == ZSTD).map(|(at, _)| at);
    starts.filter_map(|at| frame(&vmlinuz[at..])).find(|image| image.starts_with(b"\x7fELF"))
}

// What follows the stream is no stream: what came out before is whole all the same.
fn frame(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut image = Vec::new();
    let mut decoder = zstd::Decoder::with_buffer(bytes).ok()?.single_frame();
    std::io::copy(&mut decoder, &mut image).ok()?;
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_found_behind_what_looks_like_its_beginning() {
        let mut vmlinuz = b"MZ stub ".to_vec();
        vmlinuz.extend(ZSTD);
        vmlinuz.extend(b"no stream");
        vmlinuz.extend(zstd::encode_all(&b"not the kernel"[..], 3).unwrap());
        vmlinuz.extend(zstd::encode_all(&b"\x7fELF the kernel"[..], 3).unwrap());
        vmlinuz.extend(b"trailer");
        assert_eq!(unpack(&vmlinuz).unwrap(), b"\x7fELF the kernel");
        assert_eq!(unpack(b"MZ nothing packed"), None);
    }
}
