//! What an exit code of the command line means.

use std::{fmt, process::ExitCode};

/// After `wharf --help`.
pub(super) const HELP: &str = "\
Exit codes:
  0    done
  1    it failed; standard error says at what
  2    the command line is wrong
  3    no daemon answers on the socket
  4    what was named does not exist
  125  `wharf exec` itself failed; else it ends with the command's own code";

pub(super) const FAILED: u8 = 1;
const NO_DAEMON: u8 = 3;
const NOT_FOUND: u8 = 4;

/// `wharf exec` could not run the command.
pub(super) const EXEC_FAILED: u8 = 125;

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
    if let Some(Command(code)) = error.downcast_ref() {
        return ExitCode::from(u8::try_from(*code).unwrap_or(FAILED));
    }
    eprintln!("wharf: {error:#}");
    ExitCode::from(code(error))
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
