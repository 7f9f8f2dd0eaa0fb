//! The runtime as an OCI command line: `create`, `start`, `state`, `kill`, `delete` of the OCI runtime specification, and
//! the verbs, options, exit codes and error texts that callers know from runc.
//!
//! Nothing runs between two commands but the container. What is known of it is a folder below `--root`: a record, the
//! specification as it was at `create`, and, until the start, the socket on which its first process waits. Commands that
//! change a container hold the lock of its folder; a command that is killed half-way leaves what the next `create` or
//! `delete` of the same id takes away.
#![forbid(unsafe_code)]
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod bundle;
mod cgroup;
mod command;
mod console;
mod descriptors;
mod foreground;
mod init;
mod make;
mod out;
mod report;
mod sealed;
mod signal;
mod status;
mod store;
mod verbs;

pub use self::command::{Command, Runtime, run};
