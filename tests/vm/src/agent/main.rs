//! The first process of a guest, or the one service of a guest whose first process is systemd: mounts what a node has, runs the
//! job's programs one after the other, tells what happens, and powers off. As the first process it reaps every orphan.
#![forbid(unsafe_code)]

mod left;
mod port;
mod program;
mod setup;

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use nix::sys::reboot::{RebootMode, reboot};
use wharf_vm::{Event, Job};

use crate::port::Port;

const JOB: &str = "/run/wharf-vm.json";

fn main() {
    if let Err(error) = guest() {
        // On the console, which is all there is when the port cannot be opened.
        eprintln!("wharf-vm-agent: {error:#}");
    }
    nix::unistd::sync();
    // Without it the kernel would panic as soon as this process ends, and with it QEMU.
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

fn guest() -> Result<()> {
    let port = Port::open()?;
    let result = work(&port);
    if let Err(error) = &result {
        port.tell(&Event::Failed { error: format!("{error:#}") });
    }
    result
}

fn work(port: &Port) -> Result<()> {
    let text = fs::read(JOB).with_context(|| format!("read {JOB}"))?;
    let job: Job = serde_json::from_slice(&text).with_context(|| format!("read {JOB}"))?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("read the kernel's release")?;
    let kernel = kernel.trim().to_owned();
    setup::node(&job.modules, Path::new("/lib/modules").join(&kernel).as_path(), job.systemd)?;
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let security = read("/sys/kernel/security/lsm");
    port.tell(&Event::Ready { kernel, security, controllers: read("/sys/fs/cgroup/cgroup.subtree_control") });
    for program in &job.programs {
        program::run(program, port)?;
    }
    Ok(())
}
