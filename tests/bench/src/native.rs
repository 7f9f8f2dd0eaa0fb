use std::{
    fs,
    io::ErrorKind,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, fchmod, fstat, mkdirat, open, openat2, renameat},
    io::Errno,
};
use wharf_plugins::{LayerFacts, Lower, Place, Plan, Step, Upper};

/// What the overlayfs plugin decides and its power does, as a snapshotter in the daemon itself would do it: the same
/// directories with the same owners and modes, resolved beneath the folder, and removal by one rename into a trash
/// that another thread empties. The plugin's cost is what it takes above this.
pub struct Native {
    root: OwnedFd,
    removed: AtomicU64,
    trash: Option<Sender<PathBuf>>,
    emptying: Option<JoinHandle<()>>,
    trash_path: PathBuf,
}

struct Access {
    mode: u32,
    uid: u32,
    gid: u32,
}

// === impl Native ===

impl Native {
    pub fn open(root: &Path) -> Result<Self> {
        let trash_path = root.join("trash");
        fs::create_dir_all(&trash_path).with_context(|| format!("make {}", trash_path.display()))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(root, flags, Mode::empty()).context("open the native snapshotter's folder")?;
        let (trash, removed) = channel::<PathBuf>();
        let empty = move || {
            for path in removed {
                // The whole folder goes away with the bench.
                let _ = fs::remove_dir_all(path);
            }
        };
        let emptying = std::thread::Builder::new().name("trash".into()).spawn(empty)?;
        Ok(Self { root, removed: AtomicU64::new(0), trash: Some(trash), emptying: Some(emptying), trash_path })
    }

    pub fn prepare(&self, facts: &LayerFacts) -> Result<Plan> {
        let access = match facts.parents.first() {
            Some(parent) => {
                let stat = fstat(&self.find(&format!("{parent}/fs"), OFlags::PATH)?)?;
                Access { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
            }
            None => Access { mode: 0o755, uid: 0, gid: 0 },
        };
        self.make(&facts.id.to_string(), "work", &Access { mode: 0o711, uid: 0, gid: 0 })?;
        self.make(&facts.id.to_string(), "fs", &access)?;
        self.mounts(facts)
    }

    pub fn mounts(&self, facts: &LayerFacts) -> Result<Plan> {
        let lower = |parent: &u64| Ok(Lower::Directory(Place::new(*parent, "fs")?));
        let lowers: Vec<Lower> = facts.parents.iter().map(lower).collect::<Result<_>>()?;
        let upper = Upper { upper: Place::new(facts.id, "fs")?, work: Place::new(facts.id, "work")? };
        let step = if lowers.is_empty() {
            Step::Bind { at: upper.upper, read_only: false }
        } else {
            Step::Overlay { lowers, upper: Some(upper) }
        };
        Ok(Plan { steps: vec![step] })
    }

    pub fn remove(&self, layer: u64) -> Result<()> {
        let name = self.removed.fetch_add(1, Ordering::Relaxed).to_string();
        let trash = self.find("trash", OFlags::PATH | OFlags::DIRECTORY)?;
        match renameat(&self.root, layer.to_string(), &trash, &name) {
            Err(Errno::NOENT) => return Ok(()),
            done => done.with_context(|| format!("remove layer {layer}"))?,
        }
        if let Some(sender) = &self.trash {
            sender.send(self.trash_path.join(name)).context("the trash is gone")?;
        }
        Ok(())
    }

    fn find(&self, path: &str, flags: OFlags) -> Result<OwnedFd> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat2(&self.root, path, flags, Mode::empty(), beneath).with_context(|| format!("open {path}"))
    }

    fn make(&self, layer: &str, name: &str, access: &Access) -> Result<()> {
        match mkdirat(&self.root, layer, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).with_context(|| format!("make {layer}")),
        }
        let above = self.find(layer, OFlags::PATH | OFlags::DIRECTORY)?;
        match mkdirat(&above, name, Mode::RWXU).map_err(std::io::Error::from) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("make {layer}/{name}"));
            }
            _ => {}
        }
        let made = self.find(&format!("{layer}/{name}"), OFlags::RDONLY | OFlags::DIRECTORY)?;
        let stat = fstat(&made)?;
        if (stat.st_uid, stat.st_gid) != (access.uid, access.gid) {
            let (uid, gid) = (Uid::from_raw(access.uid), Gid::from_raw(access.gid));
            chownat(&made, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
        }
        if stat.st_mode & 0o7777 != access.mode {
            fchmod(&made, Mode::from_raw_mode(access.mode))?;
        }
        Ok(())
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        drop(self.trash.take());
        if let Some(emptying) = self.emptying.take() {
            // It only removes files, and cannot panic.
            let _ = emptying.join();
        }
    }
}
