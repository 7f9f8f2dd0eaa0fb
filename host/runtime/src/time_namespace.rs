use std::{fs, os::fd::OwnedFd, path::Path};

use wharf_error::{Result, ResultExt as _};

use crate::{
    child::{Op, Program},
    namespaces::{open_namespace, run},
};

/// How far a clock is from the node's.
#[derive(Clone, Debug)]
pub(crate) struct Offset {
    /// `monotonic` or `boottime`.
    pub(crate) clock: String,
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

/// Makes a time namespace by a short-lived child. Its clocks can be set as long as nobody is in it: so nobody is born
/// into it, and the container's process joins it.
pub(crate) fn time_namespace(offsets: &[Offset]) -> Result<OwnedFd> {
    let mut program = Program::default();
    program.step("reset signals", Op::ResetSignals);
    program.step("make a time namespace", Op::Unshare(libc::CLONE_NEWTIME));
    run(program, 0, |pid| {
        let lines = offsets.iter().map(|offset| {
            let Offset { clock, seconds, nanoseconds } = offset;
            format!("{clock} {seconds} {nanoseconds}\n")
        });
        let text: String = lines.collect();
        if !text.is_empty() {
            let step = || format!("set linux.timeOffsets {}", text.trim().replace('\n', ", "));
            fs::write(format!("/proc/{pid}/timens_offsets"), &text).step(step)?;
        }
        open_namespace(Path::new(&format!("/proc/{pid}/ns/time_for_children")))
    })
}
