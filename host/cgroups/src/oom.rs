use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::{Errno, pread, read},
};
use wharf_error::{Error, Result, ResultExt as _};

use crate::{Cgroup, Controller, cgroup::Slot, file, stats::kills_v1};

/// v1 tells before it kills: after its word the count is looked at until it has had time to rise, with pauses that
/// double from the first to beyond the last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// More than `memory.events` has.
const EVENTS: usize = 4096;

/// Tells when the kernel runs out of memory in a cgroup, or below it, while it happens.
///
/// Its descriptor is ready when there may be something to see, as [`OomWatch::signal`] says; then, and after every pause
/// that it asks for, [`OomWatch::look`] is to be called. Under v1 what happens in a cgroup below is seen only with what
/// happens in this one.
#[derive(Debug)]
pub struct OomWatch {
    slot: Slot,
    /// `memory.events` of v2, or the event counter that v1 writes to.
    fd: OwnedFd,
    pause: Option<Duration>,
}

/// What a look at an [`OomWatch`] shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OomNews {
    /// How many processes the kernel has killed for want of memory since the cgroup was made.
    pub kills: u64,
    /// They wait for memory instead, as v1 has it where its killer is switched off.
    pub stalled: bool,
    /// When to look again even if the descriptor is not ready by then.
    pub again: Option<Duration>,
}

/// What readiness of an [`OomWatch`]'s descriptor to wait for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OomSignal {
    /// As with a pipe that has data.
    Readable,
    /// `POLLPRI`: the file can always be read.
    Priority,
}

// === impl Cgroup ===

impl Cgroup {
    /// Watches it for want of memory. `None` where memory is not controlled. It costs one descriptor, and no inotify
    /// instance, of which a node has few.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>> {
        let Some(slot) = self.slot(Controller::Memory) else { return Ok(None) };
        let fd = if slot.v2 { open(&slot, "memory.events")?.into() } else { register(&slot)? };
        Ok(Some(OomWatch { slot, fd, pause: None }))
    }
}

// === impl OomWatch ===

impl OomWatch {
    /// What its descriptor is to be waited for.
    pub fn signal(&self) -> OomSignal {
        if self.slot.v2 { OomSignal::Priority } else { OomSignal::Readable }
    }

    /// Takes the signal and counts. `None`: the cgroup is gone, and nothing more will come.
    pub fn look(&mut self) -> Result<Option<OomNews>> {
        let seen = if self.slot.v2 { self.look_v2() } else { self.look_v1() };
        match seen {
            Err(error) if file::is_gone(&error) => Ok(None),
            other => other.map(Some).step(|| format!("cgroup {}: watch for want of memory", self.slot.dir.display())),
        }
    }

    fn look_v2(&self) -> io::Result<OomNews> {
        // By the descriptor that is waited for: to read it is what takes the signal.
        let mut bytes = [0; EVENTS];
        let count = pread(&self.fd, &mut bytes, 0)?;
        let text = String::from_utf8_lossy(&bytes[..count]);
        Ok(OomNews { kills: file::keyed(&text, "oom_kill").unwrap_or(0), stalled: false, again: None })
    }

    fn look_v1(&mut self) -> io::Result<OomNews> {
        let signalled = match read(&self.fd, &mut [0_u8; 8]) {
            Ok(_) => true,
            Err(Errno::AGAIN) => false,
            Err(error) => return Err(error.into()),
        };
        let control = file::try_read(&self.slot.dir.join("memory.oom_control"))?;
        let is = |key: &str| file::keyed(&control, key) == Some(1);
        self.pause = if signalled { Some(FIRST_PAUSE) } else { self.pause.map(|pause| pause * 2) };
        self.pause = self.pause.filter(|pause| *pause <= LAST_PAUSE);
        let kills = kills_v1(&self.slot.dir, &control).map_err(io::Error::other)?;
        Ok(OomNews { kills, stalled: signalled && is("oom_kill_disable") && is("under_oom"), again: self.pause })
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open(slot: &Slot, name: &str) -> Result<File> {
    let path = slot.dir.join(name);
    File::open(&path).step(|| format!("open {}", path.display()))
}

/// The kernel keeps the counter until the cgroup is removed or the counter is closed.
fn register(slot: &Slot) -> Result<OwnedFd> {
    let control = open(slot, "memory.oom_control")?;
    let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| Error::internal(format!("make an event counter: {error}")))?;
    slot.write("cgroup.event_control", &format!("{} {}", events.as_raw_fd(), control.as_raw_fd()))?;
    Ok(events)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Child, ChildStdin, Command, Stdio},
        time::Instant,
    };

    use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResourcesBuilder};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::testing::Own;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A shell in the cgroup that lives on, whatever becomes of the greedy child that each line of its input makes.
    fn shell(own: &Own) -> (Child, ChildStdin) {
        let mut child = Command::new("sh")
            .args(["-c", "while read go; do head -c 200000000 /dev/zero | tail; done"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for (dir, _) in own.cgroup.dirs() {
            file::write(&dir.join("cgroup.procs"), &child.id().to_string()).unwrap();
        }
        let input = child.stdin.take().unwrap();
        (child, input)
    }

    /// Waits as a supervisor does, until there are more kills than these.
    fn next(watch: &mut OomWatch, before: u64) -> u64 {
        let end = Instant::now() + PATIENCE;
        let mut again = None;
        loop {
            let wait = again.unwrap_or(PATIENCE).min(end.saturating_duration_since(Instant::now()));
            let time = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() };
            let flags = match watch.signal() {
                OomSignal::Readable => PollFlags::IN,
                OomSignal::Priority => PollFlags::PRI,
            };
            poll(&mut [PollFd::new(watch, flags)], Some(&time)).unwrap();
            let news = watch.look().unwrap().unwrap();
            if news.kills > before {
                return news.kills;
            }
            assert!(Instant::now() < end, "{news:?}");
            again = news.again;
        }
    }

    #[test]
    fn each_kill_is_told_while_the_first_process_lives() {
        let own = Own::new("oom-watch");
        let memory = LinuxMemoryBuilder::default().limit(16 << 20).swap(16 << 20).build().unwrap();
        own.cgroup.apply(&LinuxResourcesBuilder::default().memory(memory).build().unwrap()).unwrap();
        let mut watch = own.cgroup.watch_oom().unwrap().unwrap();
        let (mut first, mut input) = shell(&own);
        assert_eq!(watch.look().unwrap(), Some(OomNews { kills: 0, stalled: false, again: None }));
        input.write_all(b"go\n").unwrap();
        let kills = next(&mut watch, 0);
        input.write_all(b"go\n").unwrap();
        next(&mut watch, kills);
        assert!(first.try_wait().unwrap().is_none(), "the shell lives");
        drop(input);
        first.wait().unwrap();
        own.cgroup.delete(PATIENCE).unwrap();
        assert_eq!(watch.look().unwrap(), None, "it is gone");
    }
}
