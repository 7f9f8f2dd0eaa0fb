//! The guest: a kernel of Debian's in QEMU that runs this machine's test programs on this machine's own files.
//!
//! What it adds is what this machine's kernel is not: another version, cgroup v2 alone, AppArmor, and power that can be
//! cut. QEMU interprets (TCG), so it runs wherever a program may, at about a quarter of the speed.
//!
//! - [`Kernel`] fetches a kernel as a package, without installing it.
//! - [`Machine::boot`] starts it: an initramfs of busybox and a few modules puts `/` together, this machine's root
//!   read-only by virtiofs below a tmpfs, a blank ext4 disk at `/disk` as `TMPDIR`, and becomes `wharf-vm-agent`, which
//!   runs the [`Job`] and tells each step on a virtio port.
//! - [`Guest::next`] is what it tells. A guest that is dropped is powered off.
//!
//! Nothing here is needed to use Wharf, and nothing of it is built into it.
#![forbid(unsafe_code)]

mod archive;
mod disk;
mod initramfs;
mod job;
mod kernel;
mod lossy;
mod machine;
mod modules;
mod results;
mod share;
mod tools;

pub use self::{
    disk::Disk,
    job::{DISK, End, Event, Job, PORT, Program},
    kernel::{Kernel, Version},
    lossy::LossyDisk,
    machine::{Facts, Guest, Machine, agent_beside},
    results::{Results, run},
    tools::Tools,
};
