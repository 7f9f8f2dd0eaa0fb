use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::tools::run;

/// What the guest needs before it has its root: its files, its disk, its port, random numbers.
const EARLY: &[&str] = &["virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "virtiofs", "ext4", "overlay"];

/// Copies a package's modules, unpacked, and writes their index: a package has none, for installing makes it.
pub fn prepare(from: &Path, to: &Path, release: &str) -> Result<()> {
    let packed = copy(from, to)?;
    if !packed.is_empty() {
        // Here and once: a guest would do it at a quarter of the speed at each start.
        run(Command::new("xz").args(["--decompress", "--threads=0", "--"]).args(&packed))
            .context("unpack the modules")?;
    }
    // depmod wants the usual place above them.
    let base = tempfile::tempdir().context("make a temporary folder")?;
    let usual = base.path().join("lib/modules");
    fs::create_dir_all(&usual).with_context(|| format!("make {}", usual.display()))?;
    let target = fs::canonicalize(to).with_context(|| format!("find {}", to.display()))?;
    std::os::unix::fs::symlink(target, usual.join(release)).context("link the modules")?;
    run(Command::new("depmod").arg("-b").arg(base.path()).arg(release).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin"))
}

/// The early modules' files in the order in which they can be loaded; what the kernel has built in is not among them.
pub fn early(modules: &Path) -> Result<Vec<PathBuf>> {
    let index = modules.join("modules.dep");
    let text = fs::read_to_string(&index).with_context(|| format!("read {}", index.display()))?;
    Ok(order(&text).into_iter().map(|path| modules.join(path)).collect())
}

// `path: what it needs, the last first`
fn order(index: &str) -> Vec<&str> {
    let by_name: BTreeMap<_, _> =
        index.lines().filter_map(|l| l.split_once(':')).map(|(path, needs)| (name(path), (path, needs))).collect();
    let mut all = Vec::new();
    for (path, needs) in EARLY.iter().filter_map(|early| by_name.get(*early)) {
        for one in needs.split_whitespace().rev().chain([*path]) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

// File names have `-` where names have `_`, as they like.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

fn copy(from: &Path, to: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    let mut packed = Vec::new();
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry.with_context(|| format!("read {}", from.display()))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(|| format!("read {}", path.display()))?;
        if kind.is_dir() {
            packed.extend(copy(&path, &target)?);
        } else if kind.is_file() {
            fs::copy(&path, &target).with_context(|| format!("copy {}", path.display()))?;
            packed.extend(target.extension().is_some_and(|e| e == "xz").then_some(target));
        }
    }
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_is_loaded_before_it_and_once() {
        let index = "kernel/v/virtio.ko:\n\
                     kernel/v/virtio_ring.ko: kernel/v/virtio.ko\n\
                     kernel/v/virtio_pci.ko: kernel/v/virtio_ring.ko kernel/v/virtio.ko\n\
                     kernel/v/virtio-rng.ko: kernel/v/virtio.ko\n";
        let expected =
            ["kernel/v/virtio.ko", "kernel/v/virtio_ring.ko", "kernel/v/virtio_pci.ko", "kernel/v/virtio-rng.ko"];
        assert_eq!(order(index), expected);
    }
}
