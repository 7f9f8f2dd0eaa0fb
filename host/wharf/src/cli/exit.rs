//! What an exit code of the command line means.

use std::{fmt, process::ExitCode};

use super::out::{self, errln};

/// After `wharf --help`.
pub(super) const HELP: &str = "\
Exit codes:
  0    done
  1    it failed; standard error says at what
  2    the command line is wrong
  3    no daemon answers on the socket, or it may not be asked
  4    what was named does not exist
  125  `wharf exec` itself failed
  126  `wharf exec`: the command cannot be executed
  127  `wharf exec`: the command is not there
  141  `wharf exec`: nobody reads its output any more
  else `wharf exec`: the command's own code";

pub(super) const FAILED: u8 = 1;
const NO_DAEMON: u8 = 3;
const NOT_FOUND: u8 = 4;

/// `wharf exec` could not do its part.
pub(super) const EXEC_FAILED: u8 = 125;

/// The command of `wharf exec` is there and cannot be executed.
const CANNOT_EXECUTE: u8 = 126;

/// The command of `wharf exec` is not there.
const NO_SUCH_COMMAND: u8 = 127;

/// Nobody reads what the command of `wharf exec` writes: as if SIGPIPE had ended us.
pub(super) const BROKEN_PIPE: i32 = 128 + 13;

/// No daemon answers.
#[derive(Debug)]
pub(super) struct NoDaemon(pub(super) String);

/// The daemon's refusal, in its own words.
#[derive(Debug)]
pub(super) struct Said(pub(super) tonic::Status);

/// A command in a container ended so: there is nothing to print.
#[derive(Debug)]
pub(super) struct Command(pub(super) i32);

impl fmt::Display for NoDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.message())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the command ended with exit code {}", self.0)
    }
}

impl std::error::Error for NoDaemon {}
impl std::error::Error for Said {}
impl std::error::Error for Command {}

/// Prints the error, unless there is nothing to say, and tells its code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    if out::is_closed(error) {
        return ExitCode::SUCCESS;
    }
    if let Some(Command(code)) = error.downcast_ref() {
        return ExitCode::from(u8::try_from(*code).unwrap_or(FAILED));
    }
    errln!("wharf: {error:#}");
    ExitCode::from(code(error))
}

/// Why `wharf exec` has not run a program, by what is said of it: in runc's words, whoever makes the containers.
pub(super) fn of_exec(said: &str, program: &str) -> u8 {
    let reason = said.split_once(&format!("exec: {program:?}: "));
    let Some((_, reason)) = reason.or_else(|| said.split_once(&format!("exec {program}: "))) else {
        return EXEC_FAILED;
    };
    let absent = ["executable file not found", "no such file or directory"].iter().any(|words| reason.contains(words));
    if absent { NO_SUCH_COMMAND } else { CANNOT_EXECUTE }
}

pub(super) fn code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<NoDaemon>().is_some() {
        NO_DAEMON
    } else if error.downcast_ref::<Said>().is_some_and(|said| said.0.code() == tonic::Code::NotFound) {
        NOT_FOUND
    } else {
        FAILED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_and_one_that_cannot_be_executed_are_told_apart() {
        for (said, program, code) in [
            (r#"exec in container x: container x: exec: "nope": executable file not found in $PATH"#, "nope", 127),
            (r#"exec in container x: exec: "/nope": stat /nope: no such file or directory"#, "/nope", 127),
            ("exec in container x: exec /script: no such file or directory (it is there, but)", "/script", 127),
            (r#"exec in container x: exec: "/etc/passwd": permission denied"#, "/etc/passwd", 126),
            ("exec in container x: exec /garbage: exec format error", "/garbage", 126),
            (r#"chdir to cwd ("/no/such") set in config.json: no such file or directory"#, "pwd", 125),
            ("the connection broke before the command had ended", "sh", 125),
        ] {
            assert_eq!(of_exec(said, program), code, "{said}");
        }
    }
}
