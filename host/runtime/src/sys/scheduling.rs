use super::{Sys, Word as _, call};

/// How a process is scheduled: the kernel's `sched_attr`, as all kernels know it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub(crate) struct Schedule {
    pub(crate) size: u32,
    pub(crate) policy: u32,
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
}

/// sched_setattr of this thread.
pub(crate) fn set_schedule(schedule: &Schedule) -> Sys<()> {
    // SAFETY: the struct tells its own size and lives through the call.
    unsafe { call(libc::SYS_sched_setattr, [0, std::ptr::from_ref(schedule).word(), 0]) }.map(drop)
}

/// sched_setaffinity of this thread: one bit a processor, in words of 64.
pub(crate) fn set_affinity(processors: &[u8]) -> Sys<()> {
    // SAFETY: the set is as long as said.
    unsafe { call(libc::SYS_sched_setaffinity, [0, processors.len(), processors.as_ptr().word()]) }.map(drop)
}

/// ioprio_set of this thread.
pub(crate) fn set_io_priority(priority: i32) -> Sys<()> {
    const PROCESS: usize = 1;
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_ioprio_set, [PROCESS, 0, priority.word()]) }.map(drop)
}

/// set_mempolicy of this thread: one bit a node, in words of 64.
pub(crate) fn set_memory_policy(mode: u32, nodes: &[u8]) -> Sys<()> {
    // The kernel counts one bit more than it reads, and no nodes are no address.
    let (set, bits) = match nodes {
        [] => (0, 0),
        some => (some.as_ptr().word(), some.len().saturating_mul(8).saturating_add(1)),
    };
    // SAFETY: the set is as long as said.
    unsafe { call(libc::SYS_set_mempolicy, [mode.word(), set, bits]) }.map(drop)
}

/// personality.
pub(crate) fn set_personality(domain: u32) -> Sys<()> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_personality, [domain.word()]) }.map(drop)
}
