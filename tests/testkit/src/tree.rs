use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};

/// What a path of a layer is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Node {
    /// A folder.
    Dir,
    /// A file with these bytes.
    File(Vec<u8>),
    /// A file of which only some ranges have data: its size, and (offset, bytes) in order.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    /// A symbolic link to this text.
    Symlink(String),
    /// Another name of this path.
    Hardlink(String),
    /// A character device, major and minor.
    Char(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry of a layer.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) path: String,
    pub(crate) node: Node,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

/// The entries of one layer, in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: Vec<Entry>,
}

impl Entry {
    /// Sets the permission bits, with setuid, setgid and sticky.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Sets the owner.
    pub fn owner(&mut self, uid: u64, gid: u64) -> &mut Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// Adds an extended attribute.
    pub fn xattr(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.xattrs.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Tree {
    /// A tree with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The path and bytes of each regular file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().filter_map(|entry| match &entry.node {
            Node::File(bytes) => Some((entry.path.as_str(), bytes.as_slice())),
            _ => None,
        })
    }

    /// Whether this exact path has an entry.
    pub fn has(&self, path: &str) -> bool {
        self.entries.iter().any(|e| e.path == path)
    }

    /// Adds an entry as it is, without its parents and whatever its path looks like. Mode 0755 or 0644, owner root.
    pub fn bare(&mut self, path: &str, node: Node) -> &mut Entry {
        let mode = match node {
            Node::Dir | Node::Hardlink(_) => 0o755,
            Node::Symlink(_) => 0o777,
            _ => 0o644,
        };
        self.entries.push(Entry { path: path.to_owned(), node, mode, uid: 0, gid: 0, xattrs: Vec::new() });
        let last = self.entries.len() - 1;
        &mut self.entries[last]
    }

    /// Adds an entry and its missing parents (0755, root).
    pub fn add(&mut self, path: &str, node: Node) -> &mut Entry {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            if !self.has(parent) {
                self.bare(parent, Node::Dir);
            }
        }
        self.bare(path, node)
    }

    /// Adds a folder.
    pub fn dir(&mut self, path: &str) -> &mut Entry {
        self.add(path, Node::Dir)
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, data: impl AsRef<[u8]>) -> &mut Entry {
        self.add(path, Node::File(data.as_ref().to_vec()))
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) -> &mut Entry {
        self.add(path, Node::Symlink(target.to_owned()))
    }

    /// Adds another name of `target`.
    pub fn hardlink(&mut self, path: &str, target: &str) -> &mut Entry {
        self.add(path, Node::Hardlink(target.to_owned()))
    }

    /// Adds the mark that removes `path` of a lower layer.
    pub fn whiteout(&mut self, path: &str) -> &mut Entry {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.add(&format!("{dir}/.wh.{name}"), Node::File(Vec::new()))
    }

    /// Adds the mark that hides all that lower layers have in the folder `path`.
    pub fn opaque(&mut self, path: &str) -> &mut Entry {
        self.add(&format!("{path}/.wh..wh..opq"), Node::File(Vec::new()))
    }

    /// Takes the files and links below `root` whose relative path passes `rename` (`None` leaves one out), sorted,
    /// with their modes, owned by root.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn take(&mut self, root: &Path, rename: &dyn Fn(&str) -> Option<String>) -> Result<()> {
        self.take_below(root, root, rename)
    }

    fn take_below(&mut self, root: &Path, dir: &Path, rename: &dyn Fn(&str) -> Option<String>) -> Result<()> {
        let mut names = fs::read_dir(dir)
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .with_context(|| format!("read folder {}", dir.display()))?
            .into_iter()
            .map(|e| e.path())
            .collect::<Vec<_>>();
        names.sort();
        for path in names {
            let meta = fs::symlink_metadata(&path).with_context(|| format!("look at {}", path.display()))?;
            if meta.is_dir() {
                self.take_below(root, &path, rename)?;
                continue;
            }
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let Some(name) = rename(&relative) else { continue };
            if meta.is_symlink() {
                let target = fs::read_link(&path).with_context(|| format!("read link {}", path.display()))?;
                self.symlink(&name, &target.to_string_lossy());
            } else if meta.is_file() {
                let data = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
                self.file(&name, data).mode(meta.permissions().mode() & 0o7777);
            } else {
                anyhow::bail!("{}: mode {:o} is no file, link or folder", path.display(), meta.mode());
            }
        }
        Ok(())
    }
}
