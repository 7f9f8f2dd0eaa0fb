//! One pod's supervisor, as the daemon sees it: started, called with a deadline and a name, cleaned up after.

mod client;
mod launch;
mod sandbox;
mod streams;
mod task;

pub(crate) use self::{
    client::Shim,
    launch::{clean_up, features},
    task::{Exit, NewExec, NewTask, TaskState},
};
