//! The descriptors that a command was given for the container.

use std::{fs, io, os::fd::AsFd as _};

use wharf_error::{Error, Result, ResultExt as _};
use wharf_runtime::ProcessStdio;

/// Checks that so many descriptors from 3 on are open, and not some of our own that took their place: those are closed on
/// exec. `LISTEN_FDS` counts as well, as with runc; returns the sum.
pub(crate) fn preserved(asked: u32) -> Result<u32> {
    let listening = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let count = asked.checked_add(listening).ok_or_else(|| Error::invalid("too many descriptors to preserve"))?;
    for number in (3..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        if !is_given(number) {
            return Err(Error::invalid(format!("descriptor {number} of {count} to preserve is not open")));
        }
    }
    Ok(count)
}

fn is_given(number: u32) -> bool {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else { return false };
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & CLOSE_ON_EXEC == 0)
}

/// Our own standard input, output and error.
pub(crate) fn inherited() -> Result<ProcessStdio> {
    let own = |fd: io::Result<std::os::fd::OwnedFd>| fd.step(|| "duplicate a standard descriptor".into());
    Ok(ProcessStdio::Files {
        stdin: own(io::stdin().as_fd().try_clone_to_owned())?,
        stdout: own(io::stdout().as_fd().try_clone_to_owned())?,
        stderr: own(io::stderr().as_fd().try_clone_to_owned())?,
    })
}
