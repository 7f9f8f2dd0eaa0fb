use std::sync::Arc;

use rustix::{fs::AtFlags, io::Errno};
use wharf_error::Result;

use super::{At as _, Directory, Found, Tree};

// === impl Tree ===

impl Tree {
    /// Removes what a name is, with everything below it.
    pub(super) fn remove(&mut self, at: &Arc<Directory>, name: &[u8], found: Found) -> Result<()> {
        let path = at.join(name);
        if found != Found::Directory {
            if found == Found::Symlink {
                self.forget_open();
            }
            return rustix::fs::unlinkat(at.fd(), name, AtFlags::empty()).at("remove", &path);
        }
        self.forget_open();
        remove_directory(at, name)?;
        // "a" and "a/…", not "a-b", which sorts between them.
        let below = [&path, &b"/"[..]].concat();
        let gone: Vec<_> = self
            .known
            .range(below.clone()..)
            .map(|(known, _)| known)
            .take_while(|known| known.starts_with(&below))
            .cloned()
            .collect();
        for known in gone {
            self.known.remove(&known);
        }
        self.known.remove(&path);
        Ok(())
    }
}

/// No deeper than the layer's own limit on depth.
fn remove_directory(at: &Arc<Directory>, name: &[u8]) -> Result<()> {
    let path = at.join(name);
    let directory = Arc::new(at.open(name, false).at("open", &path)?);
    for name in directory.names()? {
        match rustix::fs::unlinkat(directory.fd(), &name, AtFlags::empty()) {
            Err(Errno::ISDIR) => remove_directory(&directory, &name)?,
            other => other.at("remove", &directory.join(&name))?,
        }
    }
    rustix::fs::unlinkat(at.fd(), name, AtFlags::REMOVEDIR).at("remove", &path)
}
