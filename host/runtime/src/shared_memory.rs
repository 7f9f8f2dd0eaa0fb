use std::{
    ffi::CString,
    io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    child::{Op, Program, spawn},
    conduct::{Goal, bury, conduct, end},
    namespaces::open_namespace,
    sys::{self, Errno},
};

const DEADLINE: Duration = Duration::from_secs(30);

/// POSIX shared memory that a pod's containers have in common: a tmpfs that is mounted nowhere but in them, and lives
/// as long as this value or one of them.
#[derive(Debug)]
pub struct SharedMemory {
    mount: OwnedFd,
    /// A mount namespace with nothing else in it. Kernels before 6.15 copy a mount only inside its own namespace.
    home: Option<OwnedFd>,
}

impl SharedMemory {
    /// Makes an empty one of at most `size` bytes that everybody may write to, its root directory `owner`'s (user and
    /// group) or root's. Some 0.05 ms; before Linux 6.15 one short-lived child more.
    ///
    /// # Errors
    ///
    /// What the kernel says to the tmpfs, or the step that failed in the child.
    pub fn new(size: u64, owner: Option<(u32, u32)>) -> Result<Self> {
        let step = || "make the pod's shared memory".to_owned();
        let mount = file_system(size, owner.unwrap_or((0, 0))).map_err(io::Error::from).step(step)?;
        match copy(&mount) {
            Ok(_) => Ok(Self { mount, home: None }),
            Err(Errno(libc::EINVAL)) => Self::at_home(mount).step(step),
            Err(errno) => Err(io::Error::from(errno)).step(step),
        }
    }

    /// The same memory as one more detached mount.
    pub(crate) fn mount(&self) -> Result<OwnedFd> {
        let copied = match &self.home {
            None => copy(&self.mount),
            Some(home) => copy_at(home)?,
        };
        copied.map_err(io::Error::from).step(|| "copy the mount of the pod's shared memory".into())
    }

    fn at_home(mount: OwnedFd) -> Result<Self> {
        let mut program = Program::default();
        program.root = Some(program.adopt(mount.try_clone().step(|| "duplicate its mount".into())?)?);
        program.step("reset signals", Op::ResetSignals);
        program.step("keep mounts inside", Op::SlaveMounts);
        program.step("attach it", Op::AttachRoot { at: c"/proc".into() });
        program.step("leave the other mounts", Op::Pivot);
        program.step("wait until the namespace is open", Op::Ready);
        program.step("end", Op::Exit);
        let child = spawn(&program, u64::from(libc::CLONE_NEWNS.cast_unsigned()), None)?;
        let child = conduct(&program, child, Goal::Ready, Instant::now() + DEADLINE, "")?;
        let home = open_namespace(Path::new(&format!("/proc/{}/ns/mnt", child.pid)));
        // Its word was waited for; hearing that we are gone is one.
        drop(child.channel);
        if bury(child.pidfd.as_fd(), "the child that holds the shared memory", DEADLINE).is_none() {
            end(child.pidfd.as_fd(), "the child that holds the shared memory");
        }
        Ok(Self { mount, home: Some(home?) })
    }
}

fn file_system(size: u64, (uid, gid): (u32, u32)) -> sys::Sys<OwnedFd> {
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    let number = |number: u64| CString::new(number.to_string()).unwrap_or_default();
    let context = owned(sys::open_file_system(c"tmpfs")?);
    for (key, value) in [
        (c"source", c"shm".to_owned()),
        (c"mode", c"1777".to_owned()),
        (c"size", number(size)),
        (c"uid", number(uid.into())),
        (c"gid", number(gid.into())),
    ] {
        sys::configure_string(context.as_raw_fd(), key, &value)?;
    }
    sys::create_superblock(context.as_raw_fd())?;
    sys::new_mount(context.as_raw_fd(), u32::try_from(attributes).unwrap_or(0)).map(owned)
}

fn copy(mount: &OwnedFd) -> sys::Sys<OwnedFd> {
    sys::clone_tree(mount.as_raw_fd(), c"", false).map(owned)
}

/// On a thread of its own, which enters the namespace and is gone afterwards: ours stays where it is.
fn copy_at(home: &OwnedFd) -> Result<sys::Sys<OwnedFd>> {
    let inside = || {
        // Threads have one working directory between them, and who shares it may not change its mount namespace.
        sys::leave_namespaces(libc::CLONE_FS)?;
        sys::enter_namespace(home.as_raw_fd(), libc::CLONE_NEWNS)?;
        sys::clone_tree(libc::AT_FDCWD, c"/", false).map(owned)
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("shared-memory".into()).stack_size(64 << 10);
        let thread = thread.spawn_scoped(scope, inside).step(|| "start a thread".into())?;
        thread.join().map_err(|_| Error::internal("the thread that copies a mount panicked"))
    })
}

fn owned(fd: sys::RawFd) -> OwnedFd {
    // SAFETY: every caller passes a descriptor that the kernel has just made for it alone.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_copied_with_a_namespace_of_its_own_and_without() {
        let plain = SharedMemory::new(1 << 20, None).unwrap();
        let at_home = SharedMemory::at_home(file_system(1 << 20, (0, 0)).unwrap()).unwrap();
        for memory in [plain, at_home] {
            let device = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_dev;
            let (one, two) = (memory.mount().unwrap(), memory.mount().unwrap());
            assert_eq!(device(&one), device(&two), "one file system");
            assert_eq!(rustix::fs::fstat(&one).unwrap().st_mode & 0o7777, 0o1777);
            drop(memory);
            assert_eq!(rustix::fs::fstatfs(&one).unwrap().f_type, 0x0102_1994, "a tmpfs, still there");
        }
    }
}
