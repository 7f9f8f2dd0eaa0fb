use std::{fs::File, os::fd::AsFd as _, sync::Arc};

use rustix::{
    fs::{AtFlags, FileType},
    io::Errno,
};
use wharf_error::{Error, Result, ResultExt as _};

use super::{At as _, Directory, Tree};
use crate::{
    archive::printable,
    lower::{Below, Inode},
};

// === impl Tree ===

impl Tree {
    /// Makes a name another name of `target`, a clean path. `false`: this layer has no such file, and whether one
    /// below has is not known here.
    pub(crate) fn hard_link(&mut self, at: &Arc<Directory>, name: &[u8], target: &[u8]) -> Result<bool> {
        let (above, target_name) = split(target);
        // With the layers below at hand the way to the target may lead through them.
        let from = if self.lower.is_some() { Some(self.directory(above)?) } else { self.existing(above)? };
        let Some(from) = from else { return Ok(false) };
        if from.path() == at.path() && target_name == name {
            return Ok(true);
        }
        match self.link(&from, target_name, at, name) {
            Ok(true) => return Ok(true),
            Ok(false) if self.lower.is_none() || from.hides() => {}
            Ok(false) => {
                if self.copy_up(&from, target_name)? {
                    return self.link(&from, target_name, at, name);
                }
            }
            Err(error) => return Err(error),
        }
        if self.lower.is_none() && !from.hides() {
            return Ok(false);
        }
        Err(Error::invalid(format!("hard link to {}, which no layer has", printable(target))))
    }

    fn link(&mut self, from: &Arc<Directory>, target: &[u8], at: &Arc<Directory>, name: &[u8]) -> Result<bool> {
        let link = || rustix::fs::linkat(from.fd(), target, at.fd(), name, AtFlags::empty());
        let done = match link() {
            Err(Errno::EXIST) => {
                self.vacate(at, name)?;
                link()
            }
            other => other,
        };
        match done {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(Errno::PERM) => {
                Err(Error::invalid(format!("hard link to directory {}", printable(&from.join(target)))))
            }
            Err(errno) => Err(errno).at("link", &at.join(name)),
        }
    }

    /// Copies a file of a layer below to the same place in this one; `false` when none has it.
    fn copy_up(&mut self, at: &Arc<Directory>, name: &[u8]) -> Result<bool> {
        let path = at.join(name);
        let Some(lower) = &self.lower else { return Ok(false) };
        match lower.find(&path)? {
            Below::Nothing | Below::Directory(_) => Ok(false),
            Below::Symlink { target, metadata } => {
                self.make_symlink(at, name, &target, &metadata)?;
                Ok(true)
            }
            Below::Other(Inode { file: None, kind, device, metadata }) => {
                self.make_node(at, name, kind, device, &metadata)?;
                Ok(true)
            }
            Below::Other(Inode { file: Some(file), kind: FileType::RegularFile, metadata, .. }) => {
                let (mut from, to) = (File::from(file), self.create_file(at, name)?);
                let mut to = File::from(to);
                // In the kernel, and by reference where the file system can.
                std::io::copy(&mut from, &mut to).step(|| format!("copy {} of a layer below", printable(&path)))?;
                metadata.apply(to.as_fd(), !self.setgid, &path)?;
                Ok(true)
            }
            Below::Other(_) => Ok(false),
        }
    }
}

/// A clean path's directory and last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}
