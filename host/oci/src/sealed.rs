use std::{
    io,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::Command,
};

use rustix::fs::{StatVfsMountFlags, statvfs};
use wharf_error::{Result, ResultExt as _};
use wharf_runtime::read_only_program;

/// Goes on as the same program, executed from a mount that nobody can write to.
///
/// A container that makes its way to `/proc/PID/exe` of a process that was about to execute its program, or has that for
/// the interpreter of a script, holds our program in its hands. Returns at once where it is read-only already.
pub(crate) fn seal() -> Result<()> {
    let mount = statvfs("/proc/self/exe").map_err(io::Error::from).step(|| "look at our own program".into())?;
    if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let program = read_only_program()?;
    let mut args = std::env::args_os();
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    Err(command.args(args).exec()).step(|| "execute our own program again".into())
}
