use std::{fs::File, sync::Arc, thread};

use anyhow::{Context as _, Result, anyhow};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};

/// A mount namespace of its own, for tests that mount: the machine's table stays as it is. It ends, with all that is mounted
/// in it, with the last who holds it or runs in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MountNs(Arc<File>);

impl MountNs {
    /// Makes one that sees the machine's mounts, and of later ones nothing.
    ///
    /// # Errors
    ///
    /// For everybody but root.
    pub fn new() -> Result<Self> {
        let make = || -> Result<File> {
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).context("make a mount namespace")?;
            let none: Option<&str> = None;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("make its mounts private")?;
            File::open("/proc/thread-self/ns/mnt").context("open a mount namespace")
        };
        // A thread of its own ends with the namespace that it has entered.
        let made = thread::scope(|scope| scope.spawn(make).join());
        Ok(Self(Arc::new(made.map_err(|_| anyhow!("the thread that makes a mount namespace panicked"))??)))
    }

    /// Runs this inside: paths, and processes made in it, are of this namespace.
    ///
    /// # Errors
    ///
    /// When it cannot be entered, or what is run panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || -> Result<T> {
            // Who shares its working folder with others cannot go elsewhere.
            unshare(CloneFlags::CLONE_FS).context("have a working folder of its own")?;
            setns(&*self.0, CloneFlags::CLONE_NEWNS).context("enter a mount namespace")?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("a thread in a mount namespace panicked"))?
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::skip::{need, root};

    #[test]
    fn what_is_mounted_in_it_is_nowhere_else() {
        if need(root()).is_none() {
            return;
        }
        let Some(mounts) = need(MountNs::new()) else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("inside");
        let write = || {
            mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
            fs::write(&file, "").unwrap();
        };
        mounts.run(write).unwrap();
        assert!(!file.exists());
        assert!(mounts.run(|| file.exists()).unwrap());
    }
}
