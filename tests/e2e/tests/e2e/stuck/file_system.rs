//! A file system that does not answer, for as long as a test wants.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use wharf_testkit::MountNs;

/// The one file in it.
pub const FILE: &str = "file";

/// What that holds.
pub const CONTENTS: &[u8] = b"here it is\n";

/// FUSE by hand, in a mount namespace of the test's own: a folder with one file. Once it holds, it takes questions and does not
/// answer them, so that who asks sits in the kernel and not even SIGKILL ends it, until [`DeadFs::go_on`].
///
/// With its end, however that comes about, every question fails: nothing hangs any longer than the test.
pub struct DeadFs {
    held: Arc<Mutex<Held>>,
    mounts: MountNs,
    at: PathBuf,
    /// Ends when the file system is taken away.
    serving: Option<JoinHandle<()>>,
}

struct Held {
    device: File,
    holds: bool,
    waiting: Vec<Question>,
}

/// `struct fuse_in_header`, and what follows it.
struct Question {
    opcode: u32,
    unique: u64,
    node: u64,
    rest: Vec<u8>,
}

// Opcodes of linux/fuse.h, and the numbers of the two files.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const RELEASEDIR: u32 = 29;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
const ROOT: u64 = 1;
const FILE_NODE: u64 = 2;

impl DeadFs {
    /// Mounts it at a folder; it answers.
    pub fn mount(mounts: &MountNs, at: &Path) -> Self {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("open /dev/fuse");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let mounted = mounts.run(|| mount(Some("dead"), at, Some("fuse"), flags, Some(options.as_str())));
        mounted.unwrap().expect("mount a file system of FUSE");
        let asked = device.try_clone().unwrap();
        let held = Arc::new(Mutex::new(Held { device, holds: false, waiting: Vec::new() }));
        let answering = held.clone();
        let serving = std::thread::spawn(move || serve(asked, &answering));
        Self { held, mounts: mounts.clone(), at: at.to_owned(), serving: Some(serving) }
    }

    /// From now on it answers nothing.
    pub fn hold(&self) {
        lock(&self.held).holds = true;
    }

    /// It answers what it was asked, and whatever it is asked.
    pub fn go_on(&self) {
        let mut held = lock(&self.held);
        held.holds = false;
        for question in std::mem::take(&mut held.waiting) {
            answer(&mut held.device, &question);
        }
    }

    /// Whether somebody waits for an answer.
    pub fn is_waited_for(&self) -> bool {
        !lock(&self.held).waiting.is_empty()
    }
}

impl Drop for DeadFs {
    fn drop(&mut self) {
        self.go_on();
        let at = self.at.clone();
        let _ = self.mounts.run(move || umount2(&at, MntFlags::MNT_DETACH));
        // The server ends when nobody has it mounted any more, which containers may: it goes on for them, and ends with us.
        drop(self.serving.take());
    }
}

fn serve(mut device: File, held: &Mutex<Held>) {
    let mut buffer = vec![0_u8; 256 << 10];
    // Fails once it is not mounted any more.
    while let Ok(read) = device.read(&mut buffer) {
        let Some(question) = Question::parse(&buffer[..read]) else { return };
        let mut held = lock(held);
        if held.holds && !matches!(question.opcode, INIT | FORGET | BATCH_FORGET | INTERRUPT) {
            held.waiting.push(question);
        } else {
            answer(&mut held.device, &question);
        }
    }
}

impl Question {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let opcode = u32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
        let number = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Self { opcode, unique: number(8)?, node: number(16)?, rest: bytes.get(40..)?.to_vec() })
    }
}

fn answer(device: &mut File, question: &Question) {
    let body = match question.opcode {
        FORGET | BATCH_FORGET | INTERRUPT => return,
        // Version 7.31, a page to write, and nothing that has to be agreed on.
        INIT => Ok([words(&[7, 31, 0, 0, 0, 4096]), vec![0; 40]].concat()),
        GETATTR => Ok([vec![0; 16], attributes(question.node)].concat()),
        LOOKUP if question.rest.strip_suffix(&[0]) == Some(FILE.as_bytes()) => {
            Ok([numbers(&[FILE_NODE, 0, 0, 0, 0]), attributes(FILE_NODE)].concat())
        }
        LOOKUP => Err(nix::libc::ENOENT),
        OPEN | OPENDIR => Ok(numbers(&[0, 0])),
        READ => {
            let offset = question.rest.get(8..16).map_or(0, |at| u64::from_ne_bytes(at.try_into().unwrap()));
            Ok(CONTENTS.get(usize::try_from(offset).unwrap()..).unwrap_or_default().to_vec())
        }
        STATFS => Ok(vec![0; 80]),
        RELEASE | RELEASEDIR => Ok(Vec::new()),
        _ => Err(nix::libc::ENOSYS),
    };
    let (error, body) = body.map_or_else(|errno| (-errno, Vec::new()), |body| (0, body));
    let length = u32::try_from(16 + body.len()).unwrap();
    let head = [length.to_ne_bytes(), error.to_ne_bytes()].concat();
    // One that was given up has no place for an answer.
    let _ = device.write(&[head, question.unique.to_ne_bytes().to_vec(), body].concat());
}

/// `struct fuse_attr`: a folder, or the file.
fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = if node == ROOT { (0o040_755, 0) } else { (0o100_644, CONTENTS.len() as u64) };
    [numbers(&[node, size, 1, 0, 0, 0]), words(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0])].concat()
}

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn numbers(all: &[u64]) -> Vec<u8> {
    all.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn it_answers_until_it_is_told_not_to() {
    if wharf_testkit::need(wharf_testkit::root()).is_none() {
        return;
    }
    let (mounts, folder) = (MountNs::new().unwrap(), tempfile::tempdir().unwrap());
    let dead = DeadFs::mount(&mounts, folder.path());
    let path = folder.path().join(FILE);
    let read = || mounts.run(|| fs::read(&path)).unwrap();
    assert_eq!(read().unwrap(), CONTENTS);
    dead.hold();
    std::thread::scope(|scope| {
        let reading = scope.spawn(read);
        assert!(wharf_testkit::wait_for(super::PATIENCE, || dead.is_waited_for()));
        assert!(!reading.is_finished());
        dead.go_on();
        assert_eq!(reading.join().unwrap().unwrap(), CONTENTS);
    });
    drop(dead);
    assert!(read().is_err(), "it is not mounted any more");
}
