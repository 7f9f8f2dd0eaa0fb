use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

use wharf_error::{Error, Result};

use crate::{Root, SharedMemory, plan::c_string, sys};

/// Mounts for another program: it finds them at paths, and nobody else does.
///
/// They are attached in a mount namespace of that program's own, into which the host's mounts are propagated; they go with
/// its last process.
#[derive(Debug, Default)]
pub struct PrivateMounts {
    mounts: Vec<(OwnedFd, CString)>,
}

impl PrivateMounts {
    /// A container's root, at a directory that exists.
    pub fn add_root(&mut self, root: Root, at: &Path) -> Result<()> {
        self.add(root.into_mount(), at)
    }

    /// A pod's shared memory, at a directory that exists.
    pub fn add_memory(&mut self, memory: &SharedMemory, at: &Path) -> Result<()> {
        self.add(memory.mount()?, at)
    }

    /// Enters a new mount namespace and attaches them there. For a child between fork and exec: it makes system calls alone,
    /// allocates nothing and takes no lock. The caller must have one thread.
    pub fn enter(&self) -> io::Result<()> {
        sys::leave_namespaces(libc::CLONE_NEWNS)?;
        sys::mount_legacy(c"", c"/", c"", libc::MS_REC | libc::MS_SLAVE, c"")?;
        self.attach()
    }

    /// Attaches them in the mount namespace that this thread is in. System calls alone.
    pub(crate) fn attach(&self) -> io::Result<()> {
        for (mount, at) in &self.mounts {
            sys::attach_at(mount.as_raw_fd(), at)?;
        }
        Ok(())
    }

    fn add(&mut self, mount: OwnedFd, at: &Path) -> Result<()> {
        if !at.is_absolute() {
            return Err(Error::invalid(format!("mount point {at:?} is not absolute")));
        }
        self.mounts.push((mount, c_string("mount point", at)?));
        Ok(())
    }
}
