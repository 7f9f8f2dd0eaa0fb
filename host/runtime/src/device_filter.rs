use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::sys::{self, Errno, Sys};

/// Lets a program decide which devices the processes of a v2 cgroup may open and make, in the place of one that did so
/// before: at no moment is there none. `program` is eBPF, an instruction a word, of the kind that judges devices. It goes
/// with the cgroup.
///
/// # Errors
///
/// `PermissionDenied` where we may not use bpf(2), `InvalidArgument` with the kernel's words for a program that it does
/// not take.
pub fn attach_device_filter(cgroup: &Path, program: &[u64]) -> Result<()> {
    attach(cgroup, program).step(|| format!("cgroup {}: confine its devices", cgroup.display()))
}

fn attach(cgroup: &Path, program: &[u64]) -> Result<()> {
    let directory = File::open(cgroup).step(|| "open it".into())?;
    let group = directory.as_raw_fd();
    let loaded = load(program)?;
    let attached = |done: Sys<()>| done.map_err(denied).step(|| "attach the eBPF program".into());
    let ids = sys::device_filters(group).map_err(denied).step(|| "list its eBPF programs".into())?;
    // One that has gone meanwhile needs no replacement.
    let before = ids.into_iter().filter_map(|id| owned(sys::open_program(id)).ok()).collect::<Vec<_>>();
    if let [one] = before.as_slice() {
        return attached(sys::attach_device_filter(group, loaded.as_raw_fd(), Some(one.as_raw_fd())));
    }
    attached(sys::attach_device_filter(group, loaded.as_raw_fd(), None))?;
    for old in before {
        let detached = sys::detach_device_filter(group, old.as_raw_fd()).map_err(io::Error::from);
        detached.step(|| "detach the eBPF program of before".into())?;
    }
    Ok(())
}

fn load(program: &[u64]) -> Result<OwnedFd> {
    let step = || "load the eBPF program".to_owned();
    let errno = match sys::load_device_filter(program, &mut []) {
        Err(errno @ Errno(libc::EINVAL | libc::EACCES)) => errno,
        other => return owned(other).map_err(denied).step(step),
    };
    // Once more, for the reason.
    let mut log = vec![0_u8; 64 << 10];
    if let Ok(loaded) = owned(sys::load_device_filter(program, &mut log)) {
        return Ok(loaded);
    }
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
    let said = String::from_utf8_lossy(log.get(..end).unwrap_or_default());
    let last = said.trim().lines().rev().find(|line| !line.starts_with("processed ")).unwrap_or_default().to_owned();
    let error = Error::invalid(if last.is_empty() { step() } else { format!("{}: {last}", step()) });
    Err(error.because(io::Error::from(errno)))
}

fn owned(fd: Sys<sys::RawFd>) -> Sys<OwnedFd> {
    // SAFETY: the kernel has just made this descriptor for us alone.
    fd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn denied(errno: Errno) -> Error {
    let error = io::Error::from(errno);
    match errno {
        Errno(libc::EPERM) => Error::new(Kind::PermissionDenied, "bpf(2)")
            .because(error)
            .hint("the devices of a v2 cgroup are confined by eBPF: the runtime needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN"),
        _ => Error::internal("bpf(2)").because(error),
    }
}
