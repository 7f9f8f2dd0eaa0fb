use super::{RawFd, Sys, Word as _, call, descriptor};

/// TIOCGPTPEER: opens the other end of a terminal without a path, close-on-exec.
pub(crate) fn open_peer(master: RawFd) -> Sys<RawFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the argument is a number.
    unsafe { call(libc::SYS_ioctl, [master.word(), number(libc::TIOCGPTPEER), flags.word()]) }.map(descriptor)
}

/// TIOCSPTLCK: lets the other end be opened.
pub(crate) fn unlock(master: RawFd) -> Sys<()> {
    let locked: i32 = 0;
    // SAFETY: the argument is an int that lives through the call.
    unsafe { call(libc::SYS_ioctl, [master.word(), number(libc::TIOCSPTLCK), (&raw const locked).word()]) }.map(drop)
}

/// TIOCSWINSZ.
pub(crate) fn resize(terminal: RawFd, rows: u16, columns: u16) -> Sys<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the argument is a winsize that lives through the call.
    unsafe { call(libc::SYS_ioctl, [terminal.word(), number(libc::TIOCSWINSZ), (&raw const size).word()]) }.map(drop)
}

/// TIOCSCTTY: the caller, a session leader, gets this controlling terminal.
pub(crate) fn make_controlling(terminal: RawFd) -> Sys<()> {
    // SAFETY: the argument is a number.
    unsafe { call(libc::SYS_ioctl, [terminal.word(), number(libc::TIOCSCTTY), 0]) }.map(drop)
}

fn number(request: libc::Ioctl) -> usize {
    usize::try_from(request).unwrap_or(usize::MAX)
}
