use std::{
    cell::Cell,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use oci_spec::runtime::Spec;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with},
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::Record;

const RECORD: &str = "state.json";
const SPEC: &str = "config.json";
const SOCKET: &str = "start.sock";

/// How long another command at the same container is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// A container's folder, open. Its lock goes with it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    file: File,
    locked: Cell<bool>,
}

// === impl Folder ===

impl Folder {
    /// `None` when there is none.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let step = || format!("open {}", path.display());
        match File::open(path) {
            Ok(file) => {
                let folder = file.metadata().step(step)?.is_dir();
                Ok(folder.then(|| Self { path: path.to_owned(), file, locked: Cell::new(false) }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).step(step),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock if nobody has it. False also when the folder is not at its path any more.
    pub(crate) fn try_lock(&self) -> Result<bool> {
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.locked.set(true);
                self.is_there()
            }
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(std::io::Error::from(error)).step(|| format!("lock {}", self.path.display())),
        }
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.try_lock()? {
            if !self.is_there()? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let what = format!("lock {}: another command has been at it for {PATIENCE:?}", self.path.display());
                return Err(Error::new(Kind::DeadlineExceeded, what));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Whether another command is at it.
    pub(crate) fn is_busy(&self) -> Result<bool> {
        if self.locked.get() {
            return Ok(false);
        }
        match flock(&self.file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                let _ = flock(&self.file, FlockOperation::Unlock);
                Ok(false)
            }
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(std::io::Error::from(error)).step(|| format!("lock {}", self.path.display())),
        }
    }

    pub(crate) fn record(&self) -> Result<Option<Record>> {
        self.read(RECORD)
    }

    pub(crate) fn save(&self, record: &Record) -> Result<()> {
        self.write(RECORD, record)
    }

    /// The specification as it was at `create`.
    pub(crate) fn spec(&self) -> Result<Spec> {
        self.read(SPEC)?.ok_or_else(|| Error::internal(format!("{} is missing", self.path.join(SPEC).display())))
    }

    pub(crate) fn save_spec(&self, spec: &Spec) -> Result<()> {
        self.write(SPEC, spec)
    }

    /// The socket on which the first process waits. It is bound by way of the open folder, for paths of sockets are
    /// short.
    pub(crate) fn listen(&self) -> Result<OwnedFd> {
        let make = || {
            let socket = new_socket()?;
            bind(&socket, &self.address()?)?;
            listen(&socket, 1)?;
            Ok::<_, Errno>(socket)
        };
        make().map_err(std::io::Error::from).step(|| format!("listen on {}", self.path.join(SOCKET).display()))
    }

    /// Connects to it; `None` when nobody listens: it was started, or has ended.
    pub(crate) fn connect(&self) -> Result<Option<OwnedFd>> {
        let make = || {
            let socket = new_socket()?;
            connect(&socket, &self.address()?)?;
            Ok::<_, Errno>(socket)
        };
        match make() {
            Ok(socket) => Ok(Some(socket)),
            Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(None),
            Err(error) => {
                Err(std::io::Error::from(error)).step(|| format!("connect to {}", self.path.join(SOCKET).display()))
            }
        }
    }

    /// Whether it still waits for its start.
    pub(crate) fn waits(&self) -> bool {
        self.path.join(SOCKET).exists()
    }

    /// It does not wait any more.
    pub(crate) fn started(&self) -> Result<()> {
        remove_file(&self.path.join(SOCKET))
    }

    /// Removes all that is in it, the record last: as long as that is there a killed removal can be repeated.
    pub(crate) fn empty(&self) -> Result<()> {
        let step = || format!("empty {}", self.path.display());
        for entry in fs::read_dir(&self.path).step(step)? {
            let entry = entry.step(step)?;
            if entry.file_name() == RECORD {
                continue;
            }
            // Folders are where roots are attached, in other mount namespaces: never with anything in them here.
            if entry.file_type().step(step)?.is_dir() {
                fs::remove_dir(entry.path()).step(|| format!("remove {}", entry.path().display()))?;
            } else {
                remove_file(&entry.path())?;
            }
        }
        remove_file(&self.path.join(RECORD))
    }

    /// Removes it with all that is in it.
    pub(crate) fn remove(self) -> Result<()> {
        self.empty()?;
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).step(|| format!("remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    fn is_there(&self) -> Result<bool> {
        let own = self.file.metadata().step(|| format!("look at {}", self.path.display()))?;
        Ok(fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == own.ino() && there.dev() == own.dev()))
    }

    fn address(&self) -> rustix::io::Result<SocketAddrUnix> {
        SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", self.file.as_raw_fd()))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.path.join(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.step(|| format!("read {}", path.display()))?,
        };
        serde_json::from_slice(&bytes).step_as(Kind::DataLoss, || format!("read {}", path.display())).map(Some)
    }

    /// Whole or not at all.
    fn write(&self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        let path = self.path.join(name);
        let step = || format!("write {}", path.display());
        let new = self.path.join(format!("{name}.new"));
        let bytes = serde_json::to_vec(value).step(step)?;
        File::create(&new).and_then(|mut file| file.write_all(&bytes)).step(step)?;
        fs::rename(&new, &path).step(step)
    }
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).step(|| format!("remove {}", path.display())),
        _ => Ok(()),
    }
}
