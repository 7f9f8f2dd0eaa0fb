//! The first process of a pod whose containers share their PID namespace, and the one process of a pod whose cgroup must not
//! be empty.
//!
//! It does nothing: the kernel reaps for it, and it ends with the shim, and with it its whole namespace. It is a
//! copy of the shim that never executes anything, so that it costs the few pages it touches, and it gives up
//! whatever a container that looks at process 1 could make use of.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid},
};
use wharf_error::{Result, ResultExt as _};
use wharf_runtime::{IdMapping, UserNamespace};

/// Nobody in the pod's eyes, and in the node's.
const NOBODY: u32 = 65534;

/// Of capset(2): the version of its structures, and whose: the caller's.
const CAPABILITIES: [u32; 2] = [0x2008_0522, 0];
/// None of 64, three times: effective, permitted, inheritable.
const NONE: [u32; 6] = [0; 6];

/// What `ps` in a container shows.
const NAME: &[u8] = b"wharf-init\0";

/// The process; dropping this ends it and everything in its namespace. The reaper reaps it.
pub struct Init {
    pub pid: i32,
    pidfd: OwnedFd,
    /// It ends when this does, however that comes about.
    _life: OwnedFd,
}

// === impl Init ===

impl Init {
    /// Makes the process and, with it, the PID namespace, in the pod's user namespace if it has one. To be called while
    /// the reaper is busy.
    pub fn spawn(user: Option<&UserNamespace>) -> Result<Self> {
        make(Some(nobody(user)), |be| match user {
            None => clone_init(be, libc::CLONE_NEWPID),
            Some(user) => spawn_inside(be, user),
        })
        .step(|| "make the pod's first process".to_owned())
    }

    /// As [`Init::spawn`], in the node's namespaces: a process that is only there. Who may end it, by SIGTERM too, is root: to be
    /// nobody would let every process of that user end the pod.
    pub fn hold() -> Result<Self> {
        make(None, |be| clone_init(be, 0)).step(|| "make the process of the pod's cgroup".to_owned())
    }

    /// Becomes readable at its end.
    pub fn watch(&self) -> Result<OwnedFd> {
        self.pidfd.try_clone().step(|| "watch the pod's first process".to_owned())
    }
}

fn make(nobody: Option<libc::c_long>, clone: impl FnOnce(&Be) -> io::Result<(i32, OwnedFd)>) -> io::Result<Init> {
    let (end, life) = pipe_with(PipeFlags::CLOEXEC)?;
    let be = Be { life: end.as_raw_fd(), arguments: arguments()?, nobody };
    let (pid, pidfd) = clone(&be)?;
    Ok(Init { pid, pidfd, _life: life })
}

/// What the child needs to know.
struct Be {
    life: RawFd,
    /// Where the command line is in memory: start and length.
    arguments: (usize, usize),
    /// Whom it becomes; none: it stays root, without any capability.
    nobody: Option<libc::c_long>,
}

/// Clones a process that becomes it.
fn clone_init(be: &Be, flags: libc::c_int) -> io::Result<(i32, OwnedFd)> {
    match clone(flags)? {
        None => be_init(be),
        Some(child) => Ok(child),
    }
}

/// A PID namespace belongs to the user namespace of who makes it: a helper goes there first. The process is our own child
/// all the same.
fn spawn_inside(be: &Be, user: &UserNamespace) -> io::Result<(i32, OwnedFd)> {
    let (answer, told) = pipe_with(PipeFlags::CLOEXEC)?;
    let Some((_, helper)) = clone(0)? else {
        help(be, user.as_fd().as_raw_fd(), told.as_raw_fd());
    };
    drop(told);
    let mut words = [0_u8; 8];
    let read = File::from(answer).read_exact(&mut words);
    // Reaped by whoever comes first, we or the reaper.
    let _ = waitid(WaitId::PidFd(helper.as_fd()), WaitIdOptions::EXITED);
    read?;
    let [pid, errno] = [0, 4].map(|at| {
        let four: [u8; 4] = words[at..at + 4].try_into().unwrap_or_default();
        i32::from_ne_bytes(four)
    });
    match rustix::process::Pid::from_raw(pid) {
        Some(process) => Ok((pid, pidfd_open(process, PidfdFlags::empty())?)),
        None => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// The helper: tells the new process's number, or why there is none, and ends.
fn help(be: &Be, user: RawFd, told: RawFd) -> ! {
    // SAFETY: system calls on numbers and a local.
    unsafe {
        let mut words: [libc::c_int; 2] = [0; 2];
        if libc::syscall(libc::SYS_setns, user, libc::CLONE_NEWUSER) == 0 {
            match clone_init(be, libc::CLONE_NEWPID | libc::CLONE_PARENT) {
                Ok((pid, pidfd)) => {
                    words = [pid, 0];
                    // Its number is all that is wanted; the process ends without running destructors.
                    std::mem::forget(pidfd);
                }
                Err(error) => words = [0, error.raw_os_error().unwrap_or(libc::EIO)],
            }
        } else {
            words[1] = *libc::__errno_location();
        }
        libc::syscall(libc::SYS_write, told, words.as_ptr(), size_of_val(&words));
        libc::syscall(libc::SYS_exit_group, 0);
    }
    loop {
        std::hint::spin_loop();
    }
}

/// clone3; none in the child.
fn clone(flags: libc::c_int) -> io::Result<Option<(i32, OwnedFd)>> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: zeros are a valid clone_args: nothing is asked for.
    let mut clone: libc::clone_args = unsafe { std::mem::zeroed() };
    clone.flags = (flags | libc::CLONE_PIDFD).cast_unsigned().into();
    clone.pidfd = (&raw mut pidfd).addr() as u64;
    // With CLONE_PARENT it is inherited.
    let exit_signal = if flags & libc::CLONE_PARENT == 0 { libc::SIGCHLD } else { 0 };
    clone.exit_signal = exit_signal.cast_unsigned().into();
    // SAFETY: `clone` and `pidfd` live across the call, the size is the structure's own. The child shares no
    // memory with us; it may be a copy of a process with other threads, and so its callers only make system calls on
    // memory prepared before, and never return.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const clone, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(None),
        1.. => {
            // SAFETY: the kernel has just made this descriptor for us.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some((i32::try_from(pid).map_err(io::Error::other)?, pidfd)))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Who is nobody in the pod's eyes; where a user namespace has no such user, its last one.
fn nobody(user: Option<&UserNamespace>) -> libc::c_long {
    let Some(mappings) = user.map(UserNamespace::mappings) else { return NOBODY.into() };
    if mappings.host_uid(NOBODY).is_ok() && mappings.host_gid(NOBODY).is_ok() {
        return NOBODY.into();
    }
    let last = |list: &[IdMapping]| list.iter().map(|range| range.container + (range.size - 1)).max().unwrap_or(0);
    last(mappings.uids()).min(last(mappings.gids())).into()
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// The command line's place in memory.
fn arguments() -> io::Result<(usize, usize)> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let broken = || io::Error::other("/proc/self/stat is cut short");
    // The name may have spaces in it; fields 48 and 49 of proc(5), the third follows the name.
    let (_, after) = stat.rsplit_once(") ").ok_or_else(broken)?;
    let mut fields = after.split(' ').skip(45).map(|field| field.parse::<usize>().unwrap_or(0));
    let (start, end) = (fields.next().ok_or_else(broken)?, fields.next().ok_or_else(broken)?);
    Ok((start, end.saturating_sub(start)))
}

/// The child: gives everything up and waits for the shim's end.
fn be_init(be: &Be) -> ! {
    let Be { life, arguments: (start, length), nobody } = *be;
    // SAFETY: system calls on literals and locals. The command line's memory is this process's own copy, was
    // mapped writable by the kernel at exec, and nothing reads it any more; its bounds come from the kernel.
    unsafe {
        for signal in 1..=64 {
            // SIGCHLD ignored: the kernel reaps orphans at once.
            libc::signal(signal, libc::SIG_IGN);
        }
        if nobody.is_none() {
            // Whoever stops the group that this one is there for, as systemd, asks first, and waits long.
            libc::signal(libc::SIGTERM, libc::SIG_DFL);
        }
        if length > NAME.len() {
            std::ptr::write_bytes(start as *mut u8, 0, length);
            std::ptr::copy_nonoverlapping(NAME.as_ptr(), start as *mut u8, NAME.len());
        }
        libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, NAME.as_ptr(), 0, 0, 0);
        libc::syscall(libc::SYS_dup3, life, 0, 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
        // A root that is empty, and that leads nowhere.
        let confined = libc::syscall(libc::SYS_chroot, c"/proc/self/fdinfo".as_ptr()) == 0
            && libc::syscall(libc::SYS_chdir, c"/".as_ptr()) == 0
            && libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) == 0
            && match nobody {
                Some(nobody) => {
                    libc::syscall(libc::SYS_setresgid, nobody, nobody, nobody) == 0
                        && libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) == 0
                }
                None => {
                    libc::syscall(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                        && libc::syscall(libc::SYS_capset, CAPABILITIES.as_ptr(), NONE.as_ptr()) == 0
                }
            }
            && libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
        let mut byte = 0u8;
        // Nobody ever writes: this returns at the shim's end.
        while confined && libc::syscall(libc::SYS_read, 0, &raw mut byte, 1) != 0 {}
        libc::syscall(libc::SYS_exit_group, 0);
    }
    loop {
        std::hint::spin_loop();
    }
}
