use libc::sock_filter as Instruction;
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompFilterFlag as Flag};
use wharf_error::{Error, Result};

use crate::{
    Architecture, actions,
    architecture::X32_BIT,
    code::{Code, Label, Test},
    rules::{Rules, Verdict},
};

/// The most instructions that the kernel takes.
const MOST: usize = 4096;

/// Offsets in the kernel's `seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// A filter as the kernel takes it.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The program.
    pub program: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*`, without the one for a listener.
    pub flags: u64,
    /// Whether it asks a listener (`SCMP_ACT_NOTIFY`), for which one must be made.
    pub notifies: bool,
}

/// Turns a profile into a program for processes of `native`. Some 50 µs for the default profile.
///
/// Rules as libseccomp applies them: a rule without arguments outweighs those with some, the first of two alike wins,
/// and conditions on one argument are alternatives. The native architecture is always in; system calls of one that is
/// not listed kill the process. A default that refuses answers `ENOSYS` for system calls that are newer than all that
/// the profile names, as runc does, so that libraries fall back to what they used before.
///
/// # Errors
///
/// `InvalidArgument` with the field, where the profile contradicts itself or asks for what the kernel cannot do.
pub fn compile(profile: &LinuxSeccomp, native: Architecture) -> Result<Filter> {
    let notifies = check(profile)?;
    let default = actions::value(profile.default_action(), profile.default_errno_ret(), "defaultErrnoRet")?;
    let unknown = actions::hides_the_new(profile.default_action())
        .then_some(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned());

    let mut architectures = vec![native];
    for word in profile.architectures().iter().flatten() {
        if let Some(one) = Architecture::of(*word, native).filter(|one| !architectures.contains(one)) {
            architectures.push(one);
        }
    }
    let mut code = Code::default();
    let foreign = code.end(libc::SECCOMP_RET_KILL_PROCESS);
    let write = |architecture: Architecture, code: &mut Code, beyond| -> Result<Label> {
        let rules = Rules::of(profile, default, architecture)?;
        Ok(section(&rules, architecture, default, unknown, beyond, code))
    };
    let mut sections = Vec::new();
    let x32 = architectures.contains(&Architecture::X32);
    for architecture in architectures {
        let label = match architecture {
            // Part of the other one's section.
            Architecture::X32 => continue,
            Architecture::X86_64 => {
                let beyond = if x32 { write(Architecture::X32, &mut code, None)? } else { foreign };
                write(architecture, &mut code, Some(beyond))?
            }
            other => write(other, &mut code, None)?,
        };
        sections.push((architecture, label));
    }
    let mut next = code.jump(foreign);
    for (architecture, section) in sections.into_iter().rev() {
        next = code.branch(Test::Equal, architecture.audit(), section, next);
    }
    code.load(ARCHITECTURE);
    let program = code.finish();
    if program.len() > MOST {
        let have = program.len();
        return Err(Error::invalid(format!(
            "linux.seccomp: the profile needs {have} instructions, the kernel takes {MOST}"
        ))
        .hint("rules that compare many arguments cost most"));
    }
    Ok(Filter { program, flags: flags(profile), notifies })
}

/// One architecture's part: loads the number and searches it. Numbers from [`X32_BIT`] on go to `beyond`.
fn section(
    rules: &Rules,
    architecture: Architecture,
    default: u32,
    unknown: Option<u32>,
    beyond: Option<Label>,
    code: &mut Code,
) -> Label {
    let base = if architecture == Architecture::X32 { X32_BIT } else { 0 };
    let otherwise = code.end(default);
    // What is done from each number on: the profile's word where it has one, and between them what is done otherwise.
    let mut ranges: Vec<(u32, Label)> = Vec::new();
    let mut go = |from: u32, label: Label| match ranges.last() {
        Some((_, last)) if *last == label => {}
        _ => ranges.push((from, label)),
    };
    let newer = base + rules.newest + 1;
    let unknown = unknown.map_or(otherwise, |value| code.end(value));
    let between = |from: u32, to: u32, go: &mut dyn FnMut(u32, Label)| {
        if from < to.min(newer) {
            go(from, otherwise);
        }
        if from.max(newer) < to {
            go(from.max(newer), unknown);
        }
    };
    let mut next = base;
    for (number, verdict) in &rules.calls {
        let number = base + number;
        between(next, number, &mut go);
        go(number, decide(verdict, architecture, otherwise, code));
        next = number + 1;
    }
    between(next, u32::MAX, &mut go);
    if let Some(beyond) = beyond {
        ranges.push((X32_BIT, beyond));
    }
    tree(&ranges, code);
    code.load(NUMBER)
}

/// Writes what is done with one system call.
fn decide(verdict: &Verdict, architecture: Architecture, otherwise: Label, code: &mut Code) -> Label {
    match verdict {
        Verdict::Always(value) => code.end(*value),
        Verdict::When(list) => list.iter().rev().fold(otherwise, |next, (conditions, value)| {
            let then = code.end(*value);
            let wide = architecture.is_wide();
            conditions.iter().rev().fold(then, |then, condition| condition.write(wide, code, then, next))
        }),
    }
}

/// A binary search over ranges.
fn tree(ranges: &[(u32, Label)], code: &mut Code) -> Label {
    match ranges {
        [] => code.end(libc::SECCOMP_RET_KILL_PROCESS),
        [(_, only)] => code.jump(*only),
        _ => {
            let (lower, upper) = ranges.split_at(ranges.len() / 2);
            let from = upper.first().map_or(0, |(from, _)| *from);
            let leaf = |ranges: &[(u32, Label)], code: &mut Code| match ranges {
                [(_, only)] => *only,
                more => tree(more, code),
            };
            let upper = leaf(upper, code);
            let lower = leaf(lower, code);
            code.branch(Test::GreaterOrEqual, from, upper, lower)
        }
    }
}

fn flags(profile: &LinuxSeccomp) -> u64 {
    let Some(flags) = profile.flags() else {
        // runc's default: a mitigation that costs every container much and buys it little.
        return libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    };
    let bit = |flag: &Flag| match flag {
        Flag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
        Flag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        Flag::SeccompFilterFlagWaitKillableRecv => libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
        // For all threads: it is loaded while there is one.
        Flag::SeccompFilterFlagTsync => 0,
    };
    flags.iter().fold(0, |all, flag| all | bit(flag))
}

/// What cannot be. Returns whether the profile asks a listener.
fn check(profile: &LinuxSeccomp) -> Result<bool> {
    if profile.default_action() == Action::ScmpActNotify {
        return Err(Error::invalid("linux.seccomp: SCMP_ACT_NOTIFY cannot be used as default action"));
    }
    let mut notifies = false;
    for rule in profile.syscalls().iter().flatten() {
        if rule.names().is_empty() {
            return Err(Error::invalid("linux.seccomp: a rule of syscalls names none"));
        }
        let asks = rule.action() == Action::ScmpActNotify;
        notifies |= asks;
        // By it we tell that the listener is there.
        if asks && rule.names().iter().any(|name| name == "write") {
            return Err(Error::invalid("linux.seccomp: SCMP_ACT_NOTIFY cannot be used for the write syscall"));
        }
    }
    let listener = profile.listener_path().as_ref().is_some_and(|path| !path.as_os_str().is_empty());
    if notifies && !listener {
        return Err(Error::invalid("linux.seccomp: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath"));
    }
    let waits = profile.flags().iter().flatten().any(|flag| *flag == Flag::SeccompFilterFlagWaitKillableRecv);
    if waits && !notifies {
        let flag = Flag::SeccompFilterFlagWaitKillableRecv;
        return Err(Error::invalid(format!("linux.seccomp: flag {flag} is for profiles with SCMP_ACT_NOTIFY")));
    }
    Ok(notifies)
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
