//! From a seccomp profile as the OCI runtime specification, or Docker, writes it to a filter program as the kernel runs
//! it.
//!
//! Nothing here talks to the kernel: the same profile gives the same program on every machine of an architecture. What
//! libseccomp and runc's use of it do with a profile is done the same way (which rule wins, what an unknown name means,
//! `ENOSYS` for system calls newer than the profile), since that is what profiles are written against. Unlike theirs,
//! a section searches its numbers as a tree of ranges: some nine comparisons for a profile of 400 names.
//!
//! The numbers of system calls come from the `syscalls` crate.

#![forbid(unsafe_code)]

mod actions;
mod architecture;
mod code;
mod compile;
mod conditions;
mod default;
mod file;
#[cfg(test)]
mod interpreter;
mod rules;

pub use self::{
    architecture::Architecture,
    compile::{Filter, compile},
    default::default_profile,
    file::{Circumstances, parse},
};
