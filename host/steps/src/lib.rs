//! What an operation is at, for whoever waits for it.
//!
//! Work that is under way cannot always be ended: a thread that sits in a file system that does not answer sits there. Who
//! waits for it can always be told: each step has a name for as long as it takes ([`step`]), and a caller whose patience
//! ends hears that name ([`Steps::now`], [`Steps::wait`]). Who waits for a [`Turn`] hears what the one before is at.
//!
//! Steps belong to the task: [`Steps::scope`] begins an account, and what runs in it writes there. Outside of any a step is
//! just run.
#![forbid(unsafe_code)]

mod open;
mod steps;
mod turn;

pub use self::{
    steps::{Steps, step, step_blocking},
    turn::{Turn, TurnGuard},
};
