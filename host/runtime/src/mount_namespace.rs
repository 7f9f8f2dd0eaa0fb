use std::{
    ffi::CStr,
    fs::File,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
    thread,
};

use wharf_error::{Error, Result, ResultExt as _};

use crate::{PrivateMounts, plan::c_string, sys};

/// A mount namespace for another program that stays: what is attached there nobody else sees, and it goes with the last
/// process in it and this. The host's mounts are propagated into it, and nothing out of it.
#[derive(Debug)]
pub struct MountNamespace {
    namespace: OwnedFd,
}

impl MountNamespace {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// Where the kernel has none for us.
    pub fn new() -> Result<Self> {
        let namespace = aside(|| {
            sys::leave_namespaces(libc::CLONE_FS | libc::CLONE_NEWNS)?;
            sys::mount_legacy(c"", c"/", c"", libc::MS_REC | libc::MS_SLAVE, c"")?;
            File::open("/proc/thread-self/ns/mnt")
        })?;
        Ok(Self { namespace: namespace.step(|| "make a mount namespace".into())?.into() })
    }

    /// Enters it, with this working directory. For a child between fork and exec: it makes system calls alone, allocates
    /// nothing and takes no lock. The caller must have one thread.
    ///
    /// # Errors
    ///
    /// As the kernel says.
    pub fn enter(&self, directory: &CStr) -> io::Result<()> {
        sys::enter_namespace(self.namespace.as_raw_fd(), libc::CLONE_NEWNS)?;
        Ok(rustix::process::chdir(directory)?)
    }

    /// Attaches mounts in it.
    ///
    /// # Errors
    ///
    /// Where a mount point is not there.
    pub fn attach(&self, mounts: &PrivateMounts) -> Result<()> {
        self.inside(|| mounts.attach())?.step(|| "attach mounts for another program".into())
    }

    /// Takes away what is mounted at these places, once nobody uses it any more. What is not there is success.
    ///
    /// # Errors
    ///
    /// For a path that is none.
    pub fn detach(&self, places: &[PathBuf]) -> Result<()> {
        let places = places.iter().map(|place| c_string("mount point", place)).collect::<Result<Vec<_>>>()?;
        self.inside(|| {
            for place in &places {
                // It may be gone with its folder, or by the program's own hand.
                let _ = sys::unmount(place);
            }
            Ok(())
        })?
        .step(|| "take mounts away from another program".into())
    }

    fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> Result<io::Result<T>> {
        aside(|| {
            // Threads have one working directory between them, and who shares it may not change its mount namespace.
            sys::leave_namespaces(libc::CLONE_FS)?;
            sys::enter_namespace(self.namespace.as_raw_fd(), libc::CLONE_NEWNS)?;
            work()
        })
    }
}

/// On a thread of its own, which is gone afterwards: ours stays where it is.
fn aside<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> Result<io::Result<T>> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("mounts".into()).stack_size(64 << 10);
        let thread = thread.spawn_scoped(scope, work).step(|| "start a thread".into())?;
        thread.join().map_err(|_| Error::internal("the thread that enters a mount namespace panicked"))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{RootKind, RootMount, assemble_root};

    #[test]
    fn what_is_attached_is_there_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let (source, at) = (folder.path().join("source"), folder.path().join("at"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&at).unwrap();
        fs::write(source.join("file"), "").unwrap();
        let kind = RootKind::Bind { source: source.clone(), readonly: false };
        let root = assemble_root(&RootMount { kind, label: None, beneath: folder.path().into() }).unwrap();
        let namespace = MountNamespace::new().unwrap();
        let mut mounts = PrivateMounts::default();
        mounts.add_root(root, &at).unwrap();
        namespace.attach(&mounts).unwrap();
        drop(mounts);
        let seen = || namespace.inside(|| Ok(at.join("file").exists())).unwrap().unwrap();
        assert!(seen() && !at.join("file").exists());
        namespace.detach(&[at.clone(), folder.path().join("absent")]).unwrap();
        assert!(!seen());
    }
}
