use std::fs;

use wharf_error::{Result, ResultExt as _};

/// The kernel's id of this boot: another after each reboot.
///
/// # Errors
/// `Internal` where /proc is not mounted.
pub fn boot_id() -> Result<String> {
    kernel_random("boot_id")
}

/// A new random UUID.
pub(crate) fn uuid() -> Result<String> {
    kernel_random("uuid")
}

fn kernel_random(name: &str) -> Result<String> {
    let path = format!("/proc/sys/kernel/random/{name}");
    Ok(fs::read_to_string(&path).step(|| format!("read {path}"))?.trim().to_owned())
}
