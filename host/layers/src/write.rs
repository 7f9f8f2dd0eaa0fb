//! What each entry of an archive becomes.

use std::{
    ffi::OsString,
    io::BufRead,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    sync::Arc,
};

use rustix::fs::FileType;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    Failure, Limits, NeedsParents,
    archive::{Archive, Entry, EntryKind, printable, reading},
    tree::{At as _, Directory, Metadata, Tree, split},
};

const WHITEOUT: &[u8] = b".wh.";
/// With this prefix: markers of AUFS, of which one has a meaning.
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Writes every entry, and answers with their number.
pub(crate) fn entries(archive: &mut Archive<impl BufRead>, tree: &mut Tree, limits: &Limits) -> Result<u64, Failure> {
    let mut count = 0;
    let mut bytes = 0_u64;
    while let Some(mut entry) = archive.next_entry().step(|| "layer".into())? {
        count += 1;
        bytes = bytes.saturating_add(entry.size);
        if count > limits.entries {
            let what = format!("layer: more than {} entries", limits.entries);
            return Err(Error::new(Kind::Exhausted, what).into());
        }
        if bytes > limits.bytes {
            return Err(limits.too_many("in its files").into());
        }
        let written = write(&mut entry, archive, tree, limits);
        let linked = written.step(|| format!("layer: entry {}", printable(&entry.path)))?;
        if !linked {
            let (entry, target) = (OsString::from_vec(entry.path).into(), OsString::from_vec(entry.link).into());
            return Err(Failure::NeedsParents(NeedsParents { entry, target }));
        }
    }
    Ok(count)
}

/// `false` when the entry links to a file that a layer below may have.
fn write(entry: &mut Entry, archive: &mut Archive<impl BufRead>, tree: &mut Tree, limits: &Limits) -> Result<bool> {
    let path = clean(&entry.path, limits)?;
    let (above, name) = split(&path);
    if name.is_empty() {
        return match entry.kind {
            EntryKind::Directory => {
                tree.describe_root(Metadata::of_entry(entry, limits.xattrs)?)?;
                Ok(true)
            }
            kind => Err(Error::invalid(format!("the root is a {kind:?}"))),
        };
    }
    if is_aufs(&path) {
        return Ok(true);
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        let at = tree.directory(above)?;
        hide(tree, &at, name, hidden)?;
        return Ok(true);
    }
    // A 0:0 character device is how the overlay hides a file; an image has other ways to say so.
    if entry.kind == EntryKind::CharDevice && entry.device == (0, 0) {
        return Ok(true);
    }
    let at = tree.directory(above)?;
    if entry.kind == EntryKind::HardLink {
        let target = clean(&entry.link, limits)?;
        if split(&target).1.is_empty() {
            return Err(Error::invalid("hard link to the root"));
        }
        return tree.hard_link(&at, name, &target);
    }
    let metadata = Metadata::of_entry(entry, limits.xattrs)?;
    match entry.kind {
        EntryKind::File | EntryKind::HardLink => {
            let file = tree.create_file(&at, name)?;
            fill(&file, entry, archive, &path)?;
            tree.finish_file(&file, &metadata, &path)?;
        }
        EntryKind::Directory => tree.describe_directory(&at, name, metadata)?,
        EntryKind::Symlink => {
            if entry.link.len() > limits.path {
                return Err(Error::invalid(format!("link target above {} bytes", limits.path)));
            }
            tree.make_symlink(&at, name, &entry.link, &metadata)?;
        }
        EntryKind::CharDevice => tree.make_node(&at, name, FileType::CharacterDevice, entry.device, &metadata)?,
        EntryKind::BlockDevice => tree.make_node(&at, name, FileType::BlockDevice, entry.device, &metadata)?,
        EntryKind::Fifo => tree.make_node(&at, name, FileType::Fifo, (0, 0), &metadata)?,
    }
    Ok(true)
}

fn hide(tree: &mut Tree, at: &Arc<Directory>, marker: &[u8], hidden: &[u8]) -> Result<()> {
    match hidden {
        _ if marker == OPAQUE => tree.hide_below(at),
        b"" | b"." | b".." => Err(Error::invalid("whiteout of no name")),
        _ => tree.white_out(at, hidden),
    }
}

/// Copies the entry's data, leaving holes where it has some.
fn fill(file: &OwnedFd, entry: &Entry, archive: &mut Archive<impl BufRead>, path: &[u8]) -> Result<()> {
    let Some(extents) = &entry.extents else {
        let mut at = 0;
        while at < entry.size {
            at += piece(file, at, entry.size - at, archive, path)?;
        }
        return Ok(());
    };
    for extent in extents {
        let mut done = 0;
        while done < extent.length {
            done += piece(file, extent.offset + done, extent.length - done, archive, path)?;
        }
    }
    rustix::fs::ftruncate(file, entry.size).at("set the length of", path)
}

/// Writes what the archive has at hand, up to `most`.
fn piece(file: &OwnedFd, at: u64, most: u64, archive: &mut Archive<impl BufRead>, path: &[u8]) -> Result<u64> {
    let chunk = archive.fill_buf().map_err(reading)?;
    let end = usize::try_from(most).map_or(chunk.len(), |most| most.min(chunk.len()));
    if end == 0 {
        return Err(Error::invalid("data ends early"));
    }
    let n = rustix::io::retry_on_intr(|| rustix::io::pwrite(file.as_fd(), &chunk[..end], at)).at("write", path)?;
    archive.consume(n);
    Ok(n as u64)
}

/// A name as a path from the target: no leading slash, no empty or dot names, `..` taken back. One that leads out is
/// refused, not bent.
fn clean(name: &[u8], limits: &Limits) -> Result<Vec<u8>> {
    if name.len() > limits.path {
        return Err(Error::invalid(format!("path above {} bytes", limits.path)));
    }
    let mut clean: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                clean.pop().ok_or_else(|| Error::invalid("path leads out of the layer"))?;
            }
            part => clean.push(part),
        }
    }
    if clean.len() > limits.depth {
        return Err(Error::invalid(format!("path of more than {} names", limits.depth)));
    }
    Ok(clean.join(&b'/'))
}

/// `.wh..wh.plnk` and its like, and what is in them.
fn is_aufs(path: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        let last = names.peek().is_none();
        if name.starts_with(AUFS) && !(last && name == OPAQUE) {
            return true;
        }
    }
    false
}
