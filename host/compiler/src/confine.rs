use std::collections::BTreeMap;

use landlock::{ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope};
use nix::{
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
    },
    unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid},
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Nobody: owns no file and no process of anyone.
const NOBODY: u32 = 65534;

/// What a call may have. A Python plugin, the largest that was tried, took 359 MB and 5 s.
const LIMITS: [(Resource, u64); 5] = [
    (Resource::RLIMIT_AS, 4 << 30),
    (Resource::RLIMIT_CPU, 120),
    (Resource::RLIMIT_FSIZE, 0),
    (Resource::RLIMIT_NOFILE, 3),
    (Resource::RLIMIT_CORE, 0),
];

/// Gives up, for good and in this order: setuid programs, every file and port (landlock, where the kernel has it),
/// resources beyond [`LIMITS`], the user, and every system call but those of memory, standard streams and the end.
///
/// # Errors
/// When one of them cannot be given up, except landlock: seccomp closes the same doors.
pub(crate) fn confine() -> Result<(), String> {
    prctl::set_dumpable(false).map_err(|error| format!("confine: not dumpable: {error}"))?;
    prctl::set_no_new_privs().map_err(|error| format!("confine: no new privileges: {error}"))?;
    landlock().map_err(|error| format!("confine: landlock: {error}"))?;
    for (resource, limit) in LIMITS {
        let hard = getrlimit(resource).map_err(|error| format!("confine: read {resource:?}: {error}"))?.1;
        let limit = limit.min(hard);
        setrlimit(resource, limit, limit).map_err(|error| format!("confine: set {resource:?}: {error}"))?;
    }
    if geteuid().is_root() {
        become_nobody().map_err(|error| format!("confine: become nobody: {error}"))?;
    }
    let filter = filter().map_err(|error| format!("confine: seccomp: {error}"))?;
    seccompiler::apply_filter(&filter).map_err(|error| format!("confine: seccomp: {error}"))
}

fn landlock() -> Result<(), landlock::RulesetError> {
    const KNOWN: ABI = ABI::V6;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .restrict_self()
        .map(drop)
}

fn become_nobody() -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

fn filter() -> Result<BpfProgram, seccompiler::Error> {
    let free = [
        // the three streams that are open
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_lseek,
        // memory
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // locks, signals and time of one thread
        libc::SYS_futex,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_getpid,
        // the end, also by abort
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = free.into_iter().map(|call| (call, Vec::new())).collect();
    // Code is written here, never run.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![not_executable()?])?]);
    }
    // abort(3) signals itself: thread id and group are then its own, and there is no other process it may signal anyway.
    rules.insert(libc::SYS_tgkill, Vec::new());
    let refuse = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    let arch = std::env::consts::ARCH.try_into().map_err(seccompiler::Error::Backend)?;
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch)
        .and_then(TryInto::try_into)
        .map_err(seccompiler::Error::Backend)
}

/// The third argument of mmap and mprotect is the protection.
fn not_executable() -> Result<SeccompCondition, seccompiler::Error> {
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(executable), 0)
        .map_err(seccompiler::Error::Backend)
}

#[cfg(test)]
mod tests;
