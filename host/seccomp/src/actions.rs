use oci_spec::runtime::LinuxSeccompAction as Action;
use wharf_error::{Error, Result};

/// The largest error number that the kernel returns; it lowers a larger one silently.
const MAX_ERRNO: u32 = 4095;

/// What the kernel does when a filter returns it.
pub(crate) fn value(action: Action, errno: Option<u32>, field: &str) -> Result<u32> {
    let data = match (action, errno) {
        (Action::ScmpActErrno | Action::ScmpActTrace, None) => libc::EPERM.cast_unsigned(),
        (Action::ScmpActErrno, Some(errno)) if errno <= MAX_ERRNO => errno,
        (Action::ScmpActTrace, Some(errno)) if errno <= libc::SECCOMP_RET_DATA => errno,
        (Action::ScmpActErrno | Action::ScmpActTrace, Some(errno)) => {
            return Err(Error::invalid(format!("linux.seccomp: {field} {errno} is too large for {action}")));
        }
        (_, None) => 0,
        (_, Some(errno)) => {
            return Err(Error::invalid(format!("linux.seccomp: {field} {errno}: {action} takes no error number")));
        }
    };
    Ok(data
        | match action {
            Action::ScmpActKill | Action::ScmpActKillThread => libc::SECCOMP_RET_KILL_THREAD,
            Action::ScmpActKillProcess => libc::SECCOMP_RET_KILL_PROCESS,
            Action::ScmpActTrap => libc::SECCOMP_RET_TRAP,
            Action::ScmpActErrno => libc::SECCOMP_RET_ERRNO,
            Action::ScmpActTrace => libc::SECCOMP_RET_TRACE,
            Action::ScmpActNotify => libc::SECCOMP_RET_USER_NOTIF,
            Action::ScmpActLog => libc::SECCOMP_RET_LOG,
            Action::ScmpActAllow => libc::SECCOMP_RET_ALLOW,
        })
}

/// Whether a program that is refused by this action had better be told that the system call does not exist, when its
/// author could not know of it: libraries then fall back to what they used before.
pub(crate) fn hides_the_new(action: Action) -> bool {
    matches!(
        action,
        Action::ScmpActKill
            | Action::ScmpActKillThread
            | Action::ScmpActKillProcess
            | Action::ScmpActTrap
            | Action::ScmpActErrno
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_carry_their_error_number() {
        assert_eq!(value(Action::ScmpActErrno, None, "x").unwrap(), 0x0005_0001);
        assert_eq!(value(Action::ScmpActErrno, Some(38), "x").unwrap(), 0x0005_0026);
        assert_eq!(value(Action::ScmpActTrace, Some(7), "x").unwrap(), 0x7ff0_0007);
        assert_eq!(value(Action::ScmpActAllow, None, "x").unwrap(), 0x7fff_0000);
        for (action, errno) in [(Action::ScmpActErrno, 4096), (Action::ScmpActTrace, 65536), (Action::ScmpActKill, 1)] {
            assert!(value(action, Some(errno), "errnoRet").unwrap_err().to_string().contains("errnoRet"));
        }
    }
}
