//! The child between clone and exec: what it is told (`op`), how it does it, and how it answers.
//!
//! [`spawn()`] is the one door. Everything that runs in the child takes what was prepared in the parent and makes raw
//! system calls; it must not allocate, lock, panic or return.

mod channel;
mod credentials;
mod execute;
mod interpret;
mod mounts;
mod op;
mod paths;
mod program;
mod report;
mod spawn;

pub(crate) use self::{
    channel::{Channel, Message, timespec},
    op::{Credentials, ExecImage, FileSystem, Holder, Node, Op, Sets},
    program::Program,
    spawn::{Spawned, spawn},
};
