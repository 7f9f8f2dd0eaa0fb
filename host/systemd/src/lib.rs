//! Units of systemd for control groups that are ours.
//!
//! Where systemd runs a node, the hierarchy of control groups is its own, and whoever wants a part of it asks: a *scope* is a
//! group around processes that somebody else has started, and with `Delegate=` what is below it is left to us. A *slice* is an
//! inner group; its name is its path, `a-b.slice` is in `a.slice`.
//!
//! It is asked by D-Bus on the socket that it keeps for root, without a message bus in between, on a new connection each time:
//! nothing is to be mended when systemd executes itself anew, and nothing of what it tells everybody has to be read in between.
//! Every call has a deadline and a name.
#![forbid(unsafe_code)]

mod booted;
mod bus;
mod limits;
mod manager;
mod scope;
mod slice;
mod systemd;

pub use self::{booted::is_booted, scope::Scope, slice::Slice, systemd::Systemd};
