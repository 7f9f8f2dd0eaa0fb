use std::{collections::HashMap, fs::File};

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_layers::{Limits, Member, MemberKind, Members};

/// Where the files of a tar archive begin, so that each can be read when it is wanted.
pub(super) struct TarIndex {
    entries: HashMap<String, Place>,
}

enum Place {
    File {
        offset: u64,
        size: u64,
    },
    /// Another entry of the archive: `docker save` writes a layer that comes twice so.
    Link(String),
}

const MAX_LINKS: usize = 8;
/// Bytes of all names together: a bound on what a hostile archive makes us hold.
const MAX_NAMES: usize = 64 << 20;

// === impl TarIndex ===

impl TarIndex {
    /// Reads the headers; the files themselves are skipped.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no archive, `Exhausted` for one with more entries or longer names than any
    /// archive of images has.
    pub fn read(file: &File) -> Result<Self> {
        let limits = Limits { entries: 200_000, ..Limits::default() };
        let mut entries = HashMap::new();
        let mut held = 0_usize;
        for member in Members::of(file, &limits)? {
            let Member { path, kind } = member.step(|| "read the archive's entries".into())?;
            let Some(name) = std::str::from_utf8(&path).ok().and_then(normal) else { continue };
            let place = match kind {
                MemberKind::File { offset, size } => Some(Place::File { offset, size }),
                MemberKind::Symlink(to) => {
                    std::str::from_utf8(&to).ok().and_then(|to| relative(&name, to)).map(Place::Link)
                }
                MemberKind::HardLink(to) => std::str::from_utf8(&to).ok().and_then(normal).map(Place::Link),
                MemberKind::Other => None,
            };
            let Some(place) = place else { continue };
            held += name.len() + if let Place::Link(target) = &place { target.len() } else { 0 };
            if held > MAX_NAMES {
                let text = format!("the names of the archive's entries have more than {MAX_NAMES} bytes");
                return Err(Error::new(Kind::Exhausted, text));
            }
            entries.insert(name, place);
        }
        Ok(Self { entries })
    }

    /// Offset and size of a file.
    pub fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = normal(name)?;
        for _ in 0..=MAX_LINKS {
            match self.entries.get(&name)? {
                Place::File { offset, size } => return Some((*offset, *size)),
                Place::Link(target) => name.clone_from(target),
            }
        }
        None
    }
}

/// `./a/../b` as `b`; nothing for what leads out of the archive or is no text.
fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// An absolute target begins at the link's folder too: the archive has no other root for it.
fn relative(link: &str, target: &str) -> Option<String> {
    let folder = link.rsplit_once('/').map_or("", |(folder, _)| folder);
    normal(&format!("{folder}/{target}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use tar::EntryType;

    use super::*;

    fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> File {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&builder.into_inner().unwrap()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file
    }

    fn file(builder: &mut tar::Builder<Vec<u8>>, path: &str, text: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, text.as_bytes()).unwrap();
    }

    fn link(builder: &mut tar::Builder<Vec<u8>>, kind: EntryType, path: &str, target: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, path, target).unwrap();
    }

    #[test]
    fn files_are_found_also_through_links() {
        let tar = archive(|builder| {
            file(builder, "./a/layer.tar", "one");
            file(builder, &format!("{}/x", "long".repeat(60)), "long");
            link(builder, EntryType::Symlink, "b/layer.tar", "../a/layer.tar");
            link(builder, EntryType::Link, "c", "b/layer.tar");
            link(builder, EntryType::Symlink, "loop", "loop");
            link(builder, EntryType::Symlink, "out", "../../etc/passwd");
        });
        let index = TarIndex::read(&tar).unwrap();
        let text = |name: &str| {
            let (offset, size) = index.find(name)?;
            let mut tar = tar.try_clone().unwrap();
            std::io::Seek::seek(&mut tar, std::io::SeekFrom::Start(offset)).unwrap();
            let mut text = String::new();
            tar.take(size).read_to_string(&mut text).unwrap();
            Some(text)
        };
        for name in ["a/layer.tar", "b/layer.tar", "c", "./a/./layer.tar"] {
            assert_eq!(text(name).as_deref(), Some("one"), "{name}");
        }
        assert_eq!(text(&format!("{}/x", "long".repeat(60))).as_deref(), Some("long"));
        for name in ["loop", "out", "absent", "../a/layer.tar"] {
            assert_eq!(text(name), None, "{name}");
        }
    }

    #[test]
    fn names_of_any_size_do_not_fill_the_memory() {
        for kind in [EntryType::XHeader, EntryType::GNULongName] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(64 << 30);
            header.set_cksum();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(header.as_bytes()).unwrap();
            file.set_len(65 << 30).unwrap();
            assert_eq!(TarIndex::read(&file).err().unwrap().kind(), Kind::Exhausted, "{kind:?}");
        }
        let long = "n".repeat(4000);
        let tar = archive(|builder| (0..17_000).for_each(|n| file(builder, &format!("{n}{long}"), "")));
        let error = TarIndex::read(&tar).err().unwrap();
        assert_eq!(error.kind(), Kind::Exhausted);
        assert!(error.to_string().contains("the names of the archive's entries"), "{error}");
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 2048]).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        assert_eq!(TarIndex::read(&file).err().unwrap().kind(), Kind::InvalidArgument);
    }
}
