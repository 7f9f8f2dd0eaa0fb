//! The first process of a pod whose containers share their PID namespace.
//!
//! It does nothing: the kernel reaps for it, and it ends with the shim, and with it the whole namespace. It is a
//! copy of the shim that never executes anything, so that it costs the few pages it touches, and it gives up
//! whatever a container that looks at process 1 could make use of.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Signal, pidfd_send_signal},
};
use wharf_error::{Result, ResultExt as _};

/// Nobody in the pod's eyes, and in the node's.
const NOBODY: libc::c_long = 65534;

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
    /// Makes the process and, with it, the PID namespace. To be called while the reaper is busy.
    pub fn spawn() -> Result<Self> {
        let step = || "make the pod's first process".to_owned();
        let (end, life) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from).step(step)?;
        let arguments = arguments().step(step)?;
        let mut pidfd: libc::c_int = -1;
        // SAFETY: zeros are a valid clone_args: nothing is asked for.
        let mut clone: libc::clone_args = unsafe { std::mem::zeroed() };
        clone.flags = (libc::CLONE_NEWPID | libc::CLONE_PIDFD).cast_unsigned().into();
        clone.pidfd = (&raw mut pidfd).addr() as u64;
        clone.exit_signal = libc::SIGCHLD.cast_unsigned().into();
        // SAFETY: `clone` and `pidfd` live across the call, the size is the structure's own. The child shares no
        // memory with us; it may be a copy of a process with other threads, and so only makes system calls on
        // memory prepared before, and never returns.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const clone, size_of::<libc::clone_args>()) };
        match pid {
            0 => be_init(end.as_raw_fd(), arguments),
            1.. => {
                // SAFETY: the kernel has just made this descriptor for us.
                let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
                Ok(Self { pid: i32::try_from(pid).step(step)?, pidfd, _life: life })
            }
            _ => Err(io::Error::last_os_error()).step(step),
        }
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// Where the command line is in memory: start and length.
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
fn be_init(life: i32, (start, length): (usize, usize)) -> ! {
    // SAFETY: system calls on literals and locals. The command line's memory is this process's own copy, was
    // mapped writable by the kernel at exec, and nothing reads it any more; its bounds come from the kernel.
    unsafe {
        for signal in 1..=64 {
            // SIGCHLD ignored: the kernel reaps orphans at once.
            libc::signal(signal, libc::SIG_IGN);
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
            && libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0
            && libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0
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
