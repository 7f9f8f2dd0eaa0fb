use std::{
    fs::{self, File},
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use wharf_error::{Error, Result, ResultExt as _};

/// A socket that receives one terminal's master.
pub struct Console {
    listener: UnixListener,
    /// The folder that it is in, open: the paths of sockets are short.
    folder: File,
    name: String,
}

// === impl Console ===

impl Console {
    pub fn listen(folder: &Path) -> Result<Self> {
        static CONSOLES: AtomicU64 = AtomicU64::new(0);
        let step = || format!("listen for a terminal in {}", folder.display());
        let name = format!("console-{}.sock", CONSOLES.fetch_add(1, Ordering::Relaxed));
        let folder = File::open(folder).step(step)?;
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())).step(step)?;
        // Who was to send it has ended when it is looked for.
        listener.set_nonblocking(true).step(step)?;
        Ok(Self { listener, folder, name })
    }

    /// How others find it.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}/{}", std::process::id(), self.folder.as_raw_fd(), self.name).into()
    }

    /// What was sent. Does not wait.
    pub fn receive(self) -> Result<OwnedFd> {
        let step = || "receive the terminal".into();
        let (stream, _) = self.listener.accept().step(step)?;
        let mut bytes = [0_u8; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        recvmsg(&stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)
            .map_err(io::Error::from)
            .step(step)?;
        let terminal = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        terminal.ok_or_else(|| Error::internal("receive the terminal: none was sent"))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_file(format!("/proc/self/fd/{}/{}", self.folder.as_raw_fd(), self.name));
    }
}
