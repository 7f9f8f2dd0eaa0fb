use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use wharf_testkit::wait_for;

use crate::{
    initramfs::initramfs,
    job::{Event, Job, PORT},
    kernel::Kernel,
    share::Share,
    tools::Tools,
};

/// From the start of QEMU to the agent's first word; ten times what it takes on a quiet machine.
const BOOT: Duration = Duration::from_secs(120);
/// Quiet and deterministic; the self tests of the kernel's ciphers are skipped, which take a second here.
const ARGUMENTS: &str = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr tsc=reliable random.trust_cpu=on \
                         cryptomgr.notests=1";

/// A guest that can be started.
#[derive(Debug)]
pub struct Machine<'a> {
    /// What it is made with.
    pub tools: &'a Tools,
    /// Its kernel.
    pub kernel: &'a Kernel,
    /// The built `wharf-vm-agent`.
    pub agent: &'a Path,
    /// Its disk, mounted at [`crate::DISK`]: a file, or what QEMU knows as an address (`nbd+unix:///?socket=…`).
    pub disk: &'a str,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
}

/// What a guest's kernel has.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `uname -r`
    pub kernel: String,
    /// The security modules at work, by commas.
    pub security: String,
    /// The controllers of its cgroup v2, by spaces.
    pub controllers: String,
}

/// A guest that runs. Its power is cut when it is dropped.
#[derive(Debug)]
pub struct Guest {
    /// What it said when it was ready: its kernel's release, security modules and cgroup controllers.
    pub facts: Facts,
    qemu: Child,
    events: Receiver<Event>,
    // Dropped in this order: the server of its files, then the folder of its sockets and logs.
    _share: Share,
    dir: TempDir,
}

impl Machine<'_> {
    /// Starts it and waits until its agent has said that it is ready.
    ///
    /// # Errors
    ///
    /// When a part cannot be started or the guest does not come up in two minutes, with the end of its console.
    pub fn boot(&self, job: &Job) -> Result<Guest> {
        let dir = tempfile::Builder::new().prefix("wharf-vm-").tempdir().context("make a temporary folder")?;
        let initrd = dir.path().join("initrd");
        fs::write(&initrd, initramfs(self.tools, self.kernel, self.agent, job)?).context("write the initramfs")?;
        let share = Share::start(self.tools, dir.path())?;
        let port = dir.path().join("port.sock");
        let listener = UnixListener::bind(&port).with_context(|| format!("listen on {}", port.display()))?;
        let qemu = self.command(dir.path(), &initrd, share.socket(), &port)?.spawn().context("start qemu")?;
        let (send, events) = mpsc::channel();
        let mut guest = Guest { facts: Facts::default(), qemu, events, _share: share, dir };
        let stream = guest.connected(&listener)?;
        thread::spawn(move || {
            // A line cut by the loss of power is no event; a receiver that is gone wants none.
            let lines = BufReader::new(stream).split(b'\n').map_while(Result::ok);
            lines.filter_map(|line| serde_json::from_slice(&line).ok()).try_for_each(|event| send.send(event))
        });
        match guest.next(Instant::now() + BOOT)? {
            Some(Event::Ready { kernel, security, controllers }) => {
                guest.facts = Facts { kernel, security, controllers };
                Ok(guest)
            }
            Some(Event::Failed { error }) => bail!("the guest cannot be set up: {error}"),
            other => bail!("the guest does not come up ({other:?})\n{}", guest.console(40)),
        }
    }

    fn command(&self, dir: &Path, initrd: &Path, files: &Path, port: &Path) -> Result<Command> {
        let console = dir.join("console");
        let errors = fs::File::create(dir.join("qemu.log")).context("make qemu's log")?;
        // No guest outlives an interrupted test: its power goes with the thread that boots it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.tools.qemu);
        // TCG: /dev/kvm is not everywhere where a test runs, and not always one that boots a stock kernel.
        command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35,memory-backend=memory"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-device", "virtio-rng-pci"]);
        // Shared with the server of the files, which writes into it.
        command.arg("-object").arg(format!("memory-backend-memfd,id=memory,size={}M,share=on", self.memory));
        command.arg("-m").arg(self.memory.to_string()).arg("-smp").arg(self.processors.to_string());
        command.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(initrd).args(["-append", ARGUMENTS]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.arg("-chardev").arg(format!("socket,id=port,path={}", port.display()));
        command.args(["-device", "virtio-serial-pci", "-device"]);
        command.arg(format!("virtserialport,chardev=port,name={PORT}"));
        command.arg("-chardev").arg(format!("socket,id=files,path={}", files.display()));
        command.args(["-device", "vhost-user-fs-pci,chardev=files,tag=host,queue-size=1024"]);
        command
            .arg("-drive")
            .arg(format!("file={},format=raw,if=none,id=disk,cache=writeback,discard=unmap", self.disk));
        command.args(["-device", "virtio-blk-pci,drive=disk"]);
        command.stdin(Stdio::null()).stdout(errors.try_clone()?).stderr(errors);
        Ok(command)
    }
}

impl Guest {
    /// What it tells next, or `None` when it has powered off.
    ///
    /// # Errors
    ///
    /// When it says nothing until `deadline`, with the end of its console.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Event>> {
        match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("the guest says nothing any more\n{}", self.console(40)),
        }
    }

    /// What it tells next, if it does before `deadline`.
    pub fn next_within(&mut self, deadline: Instant) -> Option<Event> {
        self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// Cuts its power: what it had not flushed to its disk is up to the disk.
    pub fn cut(mut self) {
        self.end();
    }

    /// The last lines of its console: the kernel's warnings, and why it died.
    pub fn console(&self, lines: usize) -> String {
        let read = |name: &str| fs::read(self.dir.path().join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&read("console")).into_owned() + &String::from_utf8_lossy(&read("qemu.log"));
        let all: Vec<_> = text.lines().collect();
        format!("--- the guest's console ends ---\n{}", all[all.len().saturating_sub(lines)..].join("\n"))
    }

    fn connected(&mut self, listener: &UnixListener) -> Result<UnixStream> {
        listener.set_nonblocking(true).context("listen for the guest's port")?;
        let mut stream = None;
        let mut ended = None;
        wait_for(Duration::from_secs(30), || {
            stream = listener.accept().ok();
            ended = self.qemu.try_wait().ok().flatten();
            stream.is_some() || ended.is_some()
        });
        let (stream, _) = stream.with_context(|| format!("qemu does not start ({ended:?})\n{}", self.console(20)))?;
        stream.set_nonblocking(false).context("read the guest's port")?;
        Ok(stream)
    }

    fn end(&mut self) {
        // Both fail only for one that has ended.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
    }
}

/// The built agent beside this program, or in a folder above it.
///
/// # Errors
///
/// When it is not built.
pub fn agent_beside() -> Result<PathBuf> {
    let me = std::env::current_exe().context("find this program")?;
    let found = me.ancestors().skip(1).map(|dir| dir.join("wharf-vm-agent")).find(|path| path.is_file());
    found.with_context(|| format!("no wharf-vm-agent above {}: cargo build --release -p wharf-vm", me.display()))
}
