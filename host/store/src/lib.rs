//! What the daemon knows, in one transactional database per lifetime.
//!
//! A [`Store`] is two files. `meta.redb` holds what outlives a reboot and is flushed before a write is answered,
//! one flush for all that wait. `state.redb`, on tmpfs, holds what ends with the machine's uptime: it survives
//! `kill -9` of the daemon without ever waiting for a disk, and tables that ask for it are copied to `meta.redb`
//! within a second, to be told after a reboot what was there ([`Store::previous_boot`]).
//!
//! A [`Table`] says which of the two it is in, what its rows are (JSON), and nothing else. Keys are
//! `<namespace>/<name>` ([`key()`]), so that no reader ever sees another namespace by accident.
#![forbid(unsafe_code)]

mod boot;
mod committer;
mod database;
mod disk;
mod error;
mod key;
mod mirror;
mod overlay;
mod reader;
mod setup;
mod store;
mod table;
mod view;
mod writer;

#[cfg(test)]
mod tests;

pub use self::{
    boot::boot_id,
    key::{key, prefix, split_key},
    reader::Reader,
    store::Store,
    table::{Lifetime, Table},
    writer::Writer,
};
