use std::{collections::HashMap, fs::File, path::Path};

use tar::EntryType;
use wharf_error::{Error, Kind, Result, ResultExt as _};

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

/// More than any archive of images has; a bound on what a hostile one makes us hold.
const MAX_ENTRIES: usize = 200_000;
const MAX_LINKS: usize = 8;

// === impl TarIndex ===

impl TarIndex {
    /// Reads the headers; the files themselves are skipped.
    pub fn read(file: &File) -> Result<Self> {
        let step = || "read the archive's entries".to_owned();
        let mut archive = tar::Archive::new(file);
        let mut entries = HashMap::new();
        for entry in archive.entries_with_seek().step_as(Kind::InvalidArgument, step)? {
            let entry = entry.step_as(Kind::InvalidArgument, step)?;
            let Some(name) = entry.path().ok().and_then(|path| normal(&path)) else { continue };
            let place = match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    Place::File { offset: entry.raw_file_position(), size: entry.size() }
                }
                EntryType::Symlink => match entry.link_name().ok().flatten() {
                    Some(target) => match relative(&name, &target) {
                        Some(target) => Place::Link(target),
                        None => continue,
                    },
                    None => continue,
                },
                EntryType::Link => match entry.link_name().ok().flatten().and_then(|target| normal(&target)) {
                    Some(target) => Place::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            entries.insert(name, place);
            if entries.len() > MAX_ENTRIES {
                return Err(Error::invalid(format!("the archive has more than {MAX_ENTRIES} entries")));
            }
        }
        Ok(Self { entries })
    }

    /// Offset and size of a file.
    pub fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = normal(Path::new(name))?;
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
fn normal(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.to_str()?.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn relative(link: &str, target: &Path) -> Option<String> {
    let folder = Path::new(link).parent()?;
    normal(&folder.join(target.strip_prefix("/").unwrap_or(target)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

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
    fn what_is_no_archive_is_refused() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 2048]).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        assert_eq!(TarIndex::read(&file).err().unwrap().kind(), Kind::InvalidArgument);
    }
}
