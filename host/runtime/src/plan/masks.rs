use std::path::Path;

use oci_spec::runtime::Spec;
use wharf_error::Result;

use super::{c_string, strings::inside};
use crate::child::{Op, Program};

/// Adds the steps that hide paths and make paths read-only.
pub(crate) fn plan_masks(spec: &Spec, program: &mut Program) -> Result<()> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    let mounts = spec.mounts().iter().flatten();
    let mut procs = mounts.filter(|mount| mount.typ().as_deref() == Some("proc")).map(|mount| mount.destination());
    let has_proc = procs.any(|destination| destination == Path::new("/proc"));
    for path in linux.readonly_paths().iter().flatten() {
        let in_proc = has_proc && below_proc(path)?;
        program.step(format!("make {path} read-only"), Op::Readonly { at: c_string("readonlyPaths", path)?, in_proc });
    }
    for path in linux.masked_paths().iter().flatten() {
        let in_proc = has_proc && below_proc(path)?;
        program.step(format!("mask {path}"), Op::Mask { at: c_string("maskedPaths", path)?, in_proc });
    }
    Ok(())
}

/// Whether what is at a path must be procfs, given that `/proc` is. A relative one is below the root, as runc takes it.
fn below_proc(path: &str) -> Result<bool> {
    let path = Path::new("/").join(path);
    inside("path to hide", &path)?;
    Ok(path.starts_with("/proc"))
}
