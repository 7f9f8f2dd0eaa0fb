use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// Moves this process, and all that it starts from now on, into a new network namespace whose loopback is up: no packet
/// filter, bridge or port of the machine is touched. To be called before any thread is started.
///
/// # Errors
///
/// Without the right to, or without iproute2.
pub fn own_network() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace")?;
    let out = Command::new("ip").args(["link", "set", "lo", "up"]).output().context("start ip (package iproute2)")?;
    ensure!(out.status.success(), "ip link set lo up: {}", String::from_utf8_lossy(&out.stderr).trim());
    Ok(())
}

/// Moves this process, and all that it starts from now on, into a new mount namespace that sends nothing back, and puts
/// an empty temporary file system over each of `over`. To be called before any thread is started.
///
/// # Errors
///
/// Without the right to, or where a folder cannot be made.
pub fn own_mounts(over: &[&str]) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .context("keep mounts to ourselves")?;
    for dir in over {
        std::fs::create_dir_all(dir).with_context(|| format!("make {dir}"))?;
        mount(Some("tmpfs"), *dir, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
            .with_context(|| format!("mount an empty folder over {dir}"))?;
    }
    Ok(())
}
