//! Devices by the Container Device Interface (CDI 1.1): vendors describe them in files, containers ask for them by name.
//!
//! [`Cdi`] reads the files of its folders at each question, for they come and go with drivers: some are there on a
//! node, and small. [`Cdi::apply`] puts what devices need into an OCI specification, or refuses by the device's name. A
//! file that cannot be read harms nobody but those who want what it may have described: then its error is told.
//! Everything blocks.
#![forbid(unsafe_code)]

mod cdi;
mod edits;
mod merge;
mod name;
mod nodes;
mod read;
mod spec;
mod version;

pub use self::{cdi::Cdi, name::names_of_annotations};
