//! Full, read-only and failing disks.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use redb::StorageBackend;
use wharf_error::{Kind, Result};

use super::{Folder, Images, Pods, open_in, row};
use crate::{
    Store,
    disk::{Disk, FileDisk, Flush},
    setup::Place,
};

/// A small tmpfs of its own, gone at the end.
struct SmallDisk(PathBuf, #[allow(dead_code, reason = "removed when dropped")] Folder);

impl SmallDisk {
    fn mount() -> Self {
        let folder = Folder::new();
        let path = folder.0.path().join("disk");
        fs::create_dir(&path).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("small", &path, "tmpfs", flags, Some(c"size=8m")).unwrap();
        Self(path, folder)
    }

    /// Takes all space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        let full = io::copy(&mut io::repeat(1), &mut file).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_fails_writes_and_is_usable_again_when_there_is_space() {
    let disk = SmallDisk::mount();
    let store = open_in(&disk.0);
    store.write_durable(|w| w.put::<Images>("a/kept", &row("kept"))).unwrap();
    store.write_crash(|w| w.put::<Pods>("a/kept", &row("kept"))).unwrap();
    let filler = disk.fill();
    let big = row(&"x".repeat(400_000));

    let mut durable = 0;
    let error = loop {
        let big = big.clone();
        match store.write_durable(move |w| w.put::<Images>(&format!("big/{durable}"), &big)) {
            Ok(()) => durable += 1,
            Err(error) => break error,
        }
        assert!(durable < 100, "the disk never fills");
    };
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert!(error.to_string().contains("free space"), "{error}");
    let mut crash = 0;
    let error = loop {
        match store.write_crash(|w| w.put::<Pods>(&format!("big/{crash}"), &big)) {
            Ok(()) => crash += 1,
            Err(error) => break error,
        }
        assert!(crash < 100, "the disk never fills");
    };
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");

    // All that was answered is there to read while the disk is full, and small changes still fit.
    assert_eq!(store.read(|r| r.get::<Images>("a/kept")).unwrap(), Some(row("kept")));
    assert_eq!(store.read(|r| r.get::<Pods>("a/kept")).unwrap(), Some(row("kept")));
    assert_eq!(store.read(|r| r.list::<Images>("big/")).unwrap().len(), durable);
    assert_eq!(store.read(|r| r.list::<Pods>("big/")).unwrap().len(), crash);

    fs::remove_file(filler).unwrap();
    store.write_durable(move |w| w.put::<Images>("a/after", &big)).unwrap();
    store.write_crash(|w| w.put::<Pods>("a/after", &row("after"))).unwrap();
    drop(store);
    let store = open_in(&disk.0);
    assert_eq!(store.read(|r| r.list::<Images>("")).unwrap().len(), durable + 2);
    assert_eq!(store.read(|r| r.list::<Pods>("")).unwrap().len(), crash + 2);
}

/// A disk on which writes fail with an errno while it is not 0.
struct Failing {
    disk: FileDisk,
    errno: Arc<AtomicI32>,
}

#[derive(Debug)]
struct FailingBackend {
    backend: Box<dyn StorageBackend>,
    errno: Arc<AtomicI32>,
}

impl Disk for Failing {
    fn path(&self) -> &Path {
        self.disk.path()
    }

    fn backend(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(FailingBackend { backend: self.disk.backend()?, errno: self.errno.clone() }))
    }

    fn clear(&self) -> Result<()> {
        self.disk.clear()
    }
}

impl FailingBackend {
    fn check(&self) -> io::Result<()> {
        match self.errno.load(Ordering::SeqCst) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl StorageBackend for FailingBackend {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.backend.write(offset, data)
    }
}

#[test]
fn a_disk_that_turns_read_only_is_still_read() {
    let folder = Folder::new();
    let errno = Arc::new(AtomicI32::new(0));
    let disk = |path: &Path| Failing { disk: FileDisk::lock(path, Flush::ToDisk).unwrap(), errno: errno.clone() };
    let place = Place { meta: disk(&folder.meta()), state: disk(&folder.state()), boot: "one".into() };
    let store = Store::open_place(place).unwrap();
    store.write_durable(|w| w.put::<Images>("a/kept", &row("kept"))).unwrap();
    for (raw, kind) in [(30, Kind::FailedPrecondition), (5, Kind::Internal), (28, Kind::Exhausted)] {
        errno.store(raw, Ordering::SeqCst);
        for _ in 0..3 {
            let error = store.write_durable(|w| w.put::<Images>("a/new", &row("new"))).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            let error = store.write_crash(|w| w.put::<Pods>("a/new", &row("new"))).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(store.read(|r| r.get::<Images>("a/kept")).unwrap(), Some(row("kept")));
        }
        errno.store(0, Ordering::SeqCst);
        store.write_durable(move |w| w.put::<Images>(&format!("ok/{raw}"), &row("ok"))).unwrap();
        store.write_crash(|w| w.put::<Pods>(&format!("ok/{raw}"), &row("ok"))).unwrap();
        assert!(store.read(|r| r.get::<Images>(&format!("ok/{raw}"))).unwrap().is_some());
    }
    drop(store);
    assert_eq!(folder.state().metadata().unwrap().len() % 4096, 0);
}
