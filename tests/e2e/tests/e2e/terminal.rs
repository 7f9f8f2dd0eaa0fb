//! A terminal for a command that wants one.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command},
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use wharf_testkit::wait_for;

const DEADLINE: Duration = Duration::from_secs(30);

/// Our end of a terminal, and everything that was printed on it.
pub struct Terminal {
    master: File,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    pub fn open(rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let terminal = Self { master: File::from(master), seen: Arc::default() };
        terminal.size(rows, columns);
        terminal
    }

    /// Starts the command with this as its three streams.
    pub fn run(&mut self, command: &mut Command) -> Child {
        let peer = rustix::pty::ptsname(&self.master, Vec::new()).unwrap();
        let open =
            || -> OwnedFd { File::options().read(true).write(true).open(peer.to_str().unwrap()).unwrap().into() };
        let child = command.stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
        let (mut master, seen) = (self.master.try_clone().unwrap(), self.seen.clone());
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // The last closing of the other end is an error to read.
            while let Ok(count @ 1..) = master.read(&mut chunk) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
        });
        child
    }

    pub fn say(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// A new size, and the signal that a terminal's window sends.
    pub fn resize(&self, child: &Child, rows: u16, columns: u16) {
        self.size(rows, columns);
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGWINCH).unwrap();
    }

    pub fn text(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    pub fn wait(&self, text: &str) {
        assert!(self.seen_within(text, DEADLINE), "{text:?} is not among: {:?}", self.text());
    }

    pub fn seen_within(&self, text: &str, deadline: Duration) -> bool {
        wait_for(deadline, || self.text().contains(text))
    }

    fn size(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    }
}
