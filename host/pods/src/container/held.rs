//! Why a killed container does not end.

use std::fs;

use wharf_cgroups::Cgroup;

/// So many processes are named.
const NAMED: usize = 4;

/// Goes on with a sentence: a control group above that is frozen, or the processes that wait in the kernel. Blocks, never
/// on what they wait for.
pub(super) fn held(group: &Cgroup) -> String {
    if let Some(frozen) = group.frozen_above() {
        return format!(": control group {frozen} is frozen, and must be thawed");
    }
    let waiting: Vec<_> = group.pids().unwrap_or_default().into_iter().filter_map(waiting).take(NAMED).collect();
    match waiting.is_empty() {
        true => String::new(),
        false => format!(": waiting in the kernel (state D): {}", waiting.join(", ")),
    }
}

/// A process in state D, for people: `cat (1234) at fuse_wait`.
fn waiting(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, state) = parse(&stat)?;
    let at = fs::read_to_string(format!("/proc/{pid}/wchan")).ok().filter(|at| !at.is_empty() && at != "0");
    (state == 'D').then(|| format!("{name} ({pid}){}", at.map(|at| format!(" at {at}")).unwrap_or_default()))
}

/// proc(5): `pid (name) state ...`; a name may have anything in it.
fn parse(stat: &str) -> Option<(&str, char)> {
    let (before, after) = stat.rsplit_once(") ")?;
    Some((before.split_once(" (")?.1, after.chars().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_anything_in_them() {
        assert_eq!(parse("12 (a) b (c) D 1 12"), Some(("a) b (c", 'D')));
        assert_eq!(parse("12 cut"), None);
        assert_eq!(waiting(std::process::id().try_into().unwrap()), None, "we run");
    }
}
