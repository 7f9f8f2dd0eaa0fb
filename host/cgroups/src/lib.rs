//! Control groups v1, hybrid and v2 by their files.
//!
//! A path means the same cgroup in every hierarchy that is mounted: [`Hierarchies::create`] makes it
//! everywhere, a process joins it everywhere ([`Cgroup::join_files`]), and [`Cgroup::delete`] removes
//! it everywhere. Limits are OCI's; which file of which version they go to is decided here and
//! nowhere else. Everything blocks: call it on blocking threads.
#![forbid(unsafe_code)]

mod adopt;
mod cgroup;
mod controller;
mod create;
mod delete;
mod detail;
mod file;
mod freeze;
mod hierarchies;
mod join;
mod kill;
mod limits;
mod oom;
mod pressure;
mod stats;

#[cfg(test)]
mod testing;

pub use self::{
    cgroup::Cgroup,
    controller::Controller,
    detail::{Detail, DeviceIo, HugepageUsage, MemoryDetail},
    hierarchies::{Hierarchies, Mode},
    join::JoinFiles,
    limits::{DeviceFilter, weight_of},
    oom::{OomNews, OomSignal, OomWatch},
    pressure::{Pressure, Pressures, Stall},
    stats::{CpuUsage, IoUsage, MemoryUsage, PidsUsage, Stats},
};
