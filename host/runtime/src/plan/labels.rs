use std::{
    ffi::CString,
    fs::OpenOptions,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::Path,
};

use oci_spec::runtime::{Process, Spec};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::c_string;
use crate::{
    child::{Op, Program},
    sys,
};

const PROC_MAGIC: i64 = 0x9fa0;

/// Adds the steps that say under which profile of AppArmor, and which label of SELinux, the program is to be executed.
/// A node that has not what is asked for is an error that names it.
pub(super) fn plan_labels(process: &Process, program: &mut Program) -> Result<()> {
    let profile = process.apparmor_profile().as_deref().filter(|profile| !profile.is_empty());
    let label = process.selinux_label().as_deref().filter(|label| !label.is_empty());
    // Where there is no AppArmor, everything is unconfined.
    let profile = profile.filter(|profile| *profile != "unconfined" || has_apparmor());
    if profile.is_none() && label.is_none() {
        return Ok(());
    }
    let proc = program.adopt(procfs()?)?;
    let own = |file: &str| c_string("path", format!("thread-self/attr/{file}"));
    if let Some(profile) = profile {
        if !has_apparmor() {
            return Err(missing("process.apparmorProfile", profile, "AppArmor"));
        }
        let value = c_string("process.apparmorProfile", format!("exec {profile}"))?.into_bytes();
        // The second one is shared by all security modules: of an older kernel, the first one's.
        let files = vec![own("apparmor/exec")?, own("exec")?];
        program.step(format!("apply AppArmor profile {profile:?}"), Op::Attribute { proc, files, value });
    }
    if let Some(label) = label {
        if !has_selinux() {
            return Err(missing("process.selinuxLabel", label, "SELinux"));
        }
        let value = c_string("process.selinuxLabel", label)?.into_bytes();
        program.step(format!("set SELinux label {label:?}"), Op::Attribute { proc, files: vec![own("exec")?], value });
    }
    Ok(())
}

/// The label of what is mounted for a container.
pub(crate) fn mount_label(spec: &Spec) -> Result<Option<CString>> {
    let label = spec.linux().as_ref().and_then(|linux| linux.mount_label().as_deref());
    let Some(label) = label.filter(|label| !label.is_empty()) else { return Ok(None) };
    if !has_selinux() {
        return Err(missing("linux.mountLabel", label, "SELinux"));
    }
    c_string("linux.mountLabel", label).map(Some)
}

fn has_apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|enabled| enabled.starts_with(b"Y"))
}

fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

fn missing(field: &str, value: &str, module: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{field} {value:?}: this node has no {module}"))
        .hint(format!("its kernel was not started with {module}, or the container must not ask for it"))
}

/// The node's procfs, through which a process finds itself in whatever namespaces it is, whatever lies over the
/// container's own.
fn procfs() -> Result<OwnedFd> {
    let step = || "open /proc".to_owned();
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open("/proc");
    let proc: OwnedFd = opened.step(step)?.into();
    let system = sys::file_system(proc.as_raw_fd()).map_err(io::Error::from).step(step)?;
    if system.magic == PROC_MAGIC { Ok(proc) } else { Err(Error::internal("/proc is no procfs")) }
}
