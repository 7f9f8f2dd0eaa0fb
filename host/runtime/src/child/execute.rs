use std::ffi::CString;

use super::{ExecImage, report::Failure};
use crate::sys::{self, Errno};

/// Executes the first candidate that can be, from this one on. Returns only the reason why none could, with the
/// candidate's number.
pub(super) fn execute(image: &ExecImage, first: usize) -> Failure {
    let mut denied = None;
    for (candidate, number) in image.candidates.iter().zip(0..).skip(first) {
        let errno = sys::execute(candidate, &image.arguments, &image.environment);
        let failure = Failure { value: number, ..errno.into() };
        match errno {
            // There, but its interpreter or loader is not: no other candidate is meant. The sign is the mark.
            Errno(libc::ENOENT) if sys::exists(candidate) => return Failure { value: -1 - number, ..errno.into() },
            Errno(libc::ENOENT | libc::ENOTDIR) => {}
            Errno(libc::EACCES) => {
                let directory = sys::stat_path(candidate).is_ok_and(sys::Stat::is_directory);
                if directory && image.candidates.len() > 1 {
                    continue;
                }
                let errno = if directory { Errno(libc::EISDIR) } else { errno };
                denied = denied.or(Some(Failure { errno, ..failure }));
            }
            _ => return failure,
        }
    }
    denied.unwrap_or_else(|| Errno(libc::ENOENT).into())
}

/// Whether one of them could be executed, as far as can be told without doing it.
pub(super) fn look(candidates: &[CString]) -> Result<(), Failure> {
    let mut denied = None;
    for (candidate, number) in candidates.iter().zip(0..) {
        let errno = match sys::may_execute(candidate) {
            Ok(()) if sys::stat_path(candidate).is_ok_and(sys::Stat::is_directory) => {
                // One of several is none; one that was named is meant.
                if candidates.len() > 1 {
                    continue;
                }
                Errno(libc::EISDIR)
            }
            Ok(()) => return Ok(()),
            Err(Errno(libc::ENOENT | libc::ENOTDIR)) => continue,
            Err(errno) => errno,
        };
        denied = denied.or(Some(Failure { value: number, ..errno.into() }));
    }
    Err(denied.unwrap_or_else(|| Errno(libc::ENOENT).into()))
}
