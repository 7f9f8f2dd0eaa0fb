//! The few calls of bpf(2) that a cgroup's device filter takes.

use super::{RawFd, Sys, Word as _, call, descriptor};

const LOAD: usize = 5;
const ATTACH: usize = 8;
const DETACH: usize = 9;
const OPEN: usize = 13;
const QUERY: usize = 16;

/// `BPF_PROG_TYPE_CGROUP_DEVICE` and `BPF_CGROUP_DEVICE`.
const KIND: u32 = 15;
const PLACE: u32 = 6;

const MULTI: u32 = 2;
const REPLACE: u32 = 4;

/// The most programs that a cgroup takes.
const MOST: usize = 64;

#[derive(Default)]
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

#[derive(Default)]
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    place: u32,
    flags: u32,
    replaced: u32,
}

#[derive(Default)]
#[repr(C)]
struct Query {
    target: u32,
    place: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

/// Loads a program that judges devices. The verifier's words go to `log`, where that is not empty.
pub(crate) fn load_device_filter(program: &[u64], log: &mut [u8]) -> Sys<RawFd> {
    let license = c"Apache-2.0";
    let attributes = Load {
        kind: KIND,
        count: u32::try_from(program.len()).unwrap_or(u32::MAX),
        instructions: program.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: u32::try_from(log.len()).unwrap_or(u32::MAX),
        log: if log.is_empty() { 0 } else { log.as_mut_ptr().expose_provenance() as u64 },
    };
    // SAFETY: the attributes have the size given; what they point to is as long as said and lives through the call.
    unsafe { call(libc::SYS_bpf, [LOAD, (&raw const attributes).word(), size_of::<Load>()]) }.map(descriptor)
}

/// Attaches a program to a cgroup, beside what is attached or in the place of one of its programs.
pub(crate) fn attach_device_filter(cgroup: RawFd, program: RawFd, replaced: Option<RawFd>) -> Sys<()> {
    let attributes = Attach {
        flags: if replaced.is_some() { MULTI | REPLACE } else { MULTI },
        replaced: replaced.map_or(0, i32::cast_unsigned),
        ..of(cgroup, program)
    };
    // SAFETY: the attributes have the size given and live through the call.
    unsafe { call(libc::SYS_bpf, [ATTACH, (&raw const attributes).word(), size_of::<Attach>()]) }.map(drop)
}

/// Takes a program away from a cgroup.
pub(crate) fn detach_device_filter(cgroup: RawFd, program: RawFd) -> Sys<()> {
    let attributes = of(cgroup, program);
    // SAFETY: the attributes have the size given and live through the call.
    unsafe { call(libc::SYS_bpf, [DETACH, (&raw const attributes).word(), size_of::<Attach>()]) }.map(drop)
}

/// The programs that are attached to this very cgroup, by their ids.
pub(crate) fn device_filters(cgroup: RawFd) -> Sys<Vec<u32>> {
    let mut ids = [0_u32; MOST];
    let mut attributes = Query {
        target: cgroup.cast_unsigned(),
        place: PLACE,
        ids: ids.as_mut_ptr().expose_provenance() as u64,
        count: u32::try_from(MOST).unwrap_or(0),
        ..Query::default()
    };
    // SAFETY: the attributes have the size given; the list is as long as said. Both live through the call.
    unsafe { call(libc::SYS_bpf, [QUERY, (&raw mut attributes).word(), size_of::<Query>()]) }?;
    let count = usize::try_from(attributes.count).unwrap_or(0);
    Ok(ids.get(..count).unwrap_or_default().to_vec())
}

/// Opens a program by its id.
pub(crate) fn open_program(id: u32) -> Sys<RawFd> {
    let attributes = [id, 0, 0];
    // SAFETY: the attributes have the size given and live through the call.
    unsafe { call(libc::SYS_bpf, [OPEN, (&raw const attributes).word(), size_of_val(&attributes)]) }.map(descriptor)
}

fn of(cgroup: RawFd, program: RawFd) -> Attach {
    Attach { target: cgroup.cast_unsigned(), program: program.cast_unsigned(), place: PLACE, ..Attach::default() }
}
