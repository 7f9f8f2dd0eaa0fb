use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::{
    cache::{cache_dir, lock_cache},
    image::{Image, Kind, digest_text},
    layer::{Compression, Layer, gzip},
    packages::unpacked_package,
};

/// What a real image holds: many small files, few large ones, text and code. The packages of Debian 12 by layers.
const LAYERS: &[(&str, &[&str])] = &[
    ("userland and C library", &["base-files", "bash", "coreutils", "libc6", "libc-bin", "perl-base"]),
    ("python", &["libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal"]),
    ("perl and git", &["perl-modules-5.36", "libperl5.36", "git"]),
    ("java", &["openjdk-17-jre-headless"]),
    ("go sources", &["golang-1.19-src"]),
    ("llvm", &["libllvm14"]),
    ("gcc", &["gcc-12", "cpp-12", "g++-12"]),
    ("boost headers", &["libboost1.74-dev"]),
    ("node, icu, database", &["libnode108", "libicu72", "postgresql-15"]),
];
const EPOCH: u64 = 1_704_067_200;
/// What a variant has more of than the one before, behind the end of each archive: another block of nothing, packed as
/// a member of its own.
const PADDING: [u8; 512] = [0; 512];

/// How many images [`mixed`] makes.
pub const MIXED: usize = 4;

/// The image whose pull is measured: about 306 MB in nine gzip layers, 970 MB and 36,000 entries unpacked. It is made
/// of Debian's packages once, which takes minutes, and kept in the [cache](cache_dir).
///
/// Of the [`MIXED`] variants all unpack to the same, and none shares a layer with another: a runtime that has one has
/// to pull all of the next.
///
/// # Errors
///
/// When a package cannot be had, or there is no such variant.
pub fn mixed(variant: usize) -> Result<Image> {
    let folder = cache_dir()?.join("mixed-2");
    if !folder.is_dir() {
        for name in LAYERS.iter().flat_map(|(_, packages)| *packages) {
            // Before the lock, which it takes too.
            unpacked_package(name)?;
        }
        let _lock = lock_cache()?;
        if !folder.is_dir() {
            make(&folder)?;
        }
    }
    let layers: Vec<Layer> =
        LAYERS.iter().enumerate().map(|(n, (note, _))| load(&folder, n, note, variant)).collect::<Result<_>>()?;
    Image::new(Kind::Oci, &layers, &json!({ "Cmd": ["bash"] }))
}

fn make(folder: &Path) -> Result<()> {
    let parent = folder.parent().context("a cache without a folder")?;
    let work = tempfile::tempdir_in(parent).context("make a folder to pack into")?;
    for (n, (note, packages)) in LAYERS.iter().enumerate() {
        let trees: Vec<PathBuf> = packages.iter().map(|name| unpacked_package(name)).collect::<Result<_>>()?;
        let plain = archive(&trees).with_context(|| format!("layer {note:?}"))?;
        let mut hash = Sha256::new_with_prefix(&plain);
        let layer = Layer::from_archive(note, plain, Compression::Gzip)?;
        fs::write(work.path().join(format!("{n}.tar.gz")), layer.packed())?;
        for variant in 0..MIXED {
            fs::write(work.path().join(format!("{n}.{variant}.diff-id")), digest_text(&hash.clone().finalize()))?;
            hash.update(PADDING);
        }
    }
    fs::rename(work.path(), folder).with_context(|| format!("keep {}", folder.display()))
}

fn load(folder: &Path, n: usize, note: &str, variant: usize) -> Result<Layer> {
    let read = |name: String| fs::read(folder.join(&name)).with_context(|| format!("read {}/{name}", folder.display()));
    let diff_id = String::from_utf8(read(format!("{n}.{variant}.diff-id"))?)?;
    let mut packed = read(format!("{n}.tar.gz"))?;
    for _ in 0..variant {
        packed.extend(gzip(&PADDING)?);
    }
    Ok(Layer { packed, compression: Compression::Gzip, diff_id, note: note.to_owned() })
}

/// All files of some folders, the same bytes each time.
fn archive(trees: &[PathBuf]) -> Result<Vec<u8>> {
    let mut out = Builder::new(Vec::new());
    let mut links = HashMap::new();
    for tree in trees {
        append(&mut out, tree, Path::new(""), &mut links)?;
    }
    Ok(out.into_inner()?)
}

fn append(
    out: &mut Builder<Vec<u8>>,
    tree: &Path,
    below: &Path,
    links: &mut HashMap<(u64, u64), PathBuf>,
) -> Result<()> {
    let mut names: Vec<_> = fs::read_dir(tree.join(below))?.map(|e| Ok(e?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    for name in names {
        let path = below.join(name);
        let full = tree.join(&path);
        let metadata = fs::symlink_metadata(&full)?;
        let mut header = Header::new_gnu();
        header.set_mode(metadata.mode() & 0o7777);
        header.set_mtime(EPOCH);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            out.append_data(&mut header, path.join(""), io::empty())?;
            append(out, tree, &path, links)?;
        } else if metadata.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            out.append_link(&mut header, &path, fs::read_link(&full)?)?;
        } else if let Some(first) = links.get(&(metadata.dev(), metadata.ino())) {
            header.set_entry_type(EntryType::Link);
            out.append_link(&mut header, &path, first)?;
        } else if metadata.is_file() {
            header.set_size(metadata.len());
            out.append_data(&mut header, &path, File::open(&full)?)?;
            links.insert((metadata.dev(), metadata.ino()), path);
        }
    }
    Ok(())
}
