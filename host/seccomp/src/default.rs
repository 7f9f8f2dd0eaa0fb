use oci_spec::runtime::{
    Capabilities, Capability, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator as Op, LinuxSyscall,
};

use crate::Architecture;

/// The kinds of namespaces that `clone` makes, as its flags.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// Address families that reach past the container: the kernel's crypto, and the hypervisor.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// The profile of a container that asks for none of its own (`RuntimeDefault`), for one with these capabilities: it
/// allows what programs use and refuses, with `EPERM`, what only a node's own tools need. What a capability is for
/// comes with it.
///
/// Not in it, with whatever capability: the kernel's keyrings and io_uring, which know nothing of containers or pass
/// this filter by, userfaultfd, and what has been obsolete for long.
pub fn default_profile(capabilities: &Capabilities) -> LinuxSeccomp {
    let has = |one: Capability| capabilities.contains(&one);
    let mut rules: Vec<LinuxSyscall> = [FILES, MEMORY, PROCESSES, IDENTITY, SIGNALS, TIME, WAITING, SOCKETS, SYSTEM_V]
        .into_iter()
        .map(allow)
        .collect();
    match Architecture::NATIVE {
        Architecture::Aarch64 | Architecture::Arm => rules.push(allow(ARM)),
        _ => rules.push(allow(X86)),
    }
    // The domains of a Linux of old, of one without random addresses, of both, and the question which it is.
    for domain in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        rules.push(allow_if(&["personality"], vec![argument(0, Op::ScmpCmpEq, domain, None)]));
    }
    for (operator, family) in [(Op::ScmpCmpLt, AF_ALG), (Op::ScmpCmpEq, AF_ALG + 1), (Op::ScmpCmpGt, AF_VSOCK)] {
        rules.push(allow_if(&["socket"], vec![argument(0, operator, family, None)]));
    }
    for (capability, calls) in WITH {
        if has(*capability) {
            rules.push(allow(calls));
        }
    }
    if !has(Capability::SysAdmin) {
        rules.push(allow_if(&["clone"], vec![argument(0, Op::ScmpCmpMaskedEq, NEW_NAMESPACES, Some(0))]));
        // Its flags are in memory, where no filter can look; libraries then use clone.
        rules.push(rule(&["clone3"], Action::ScmpActErrno, Some(libc::ENOSYS.cast_unsigned()), None));
    }
    let mut profile = LinuxSeccomp::default();
    profile
        .set_default_action(Action::ScmpActErrno)
        .set_default_errno_ret(Some(libc::EPERM.cast_unsigned()))
        .set_architectures(Some(Architecture::NATIVE.with_others().to_vec()))
        .set_syscalls(Some(rules));
    profile
}

fn allow(names: &[&str]) -> LinuxSyscall {
    rule(names, Action::ScmpActAllow, None, None)
}

fn allow_if(names: &[&str], arguments: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    rule(names, Action::ScmpActAllow, None, Some(arguments))
}

fn rule(names: &[&str], action: Action, errno: Option<u32>, arguments: Option<Vec<LinuxSeccompArg>>) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(names.iter().map(|name| (*name).to_owned()).collect())
        .set_action(action)
        .set_errno_ret(errno)
        .set_args(arguments);
    rule
}

fn argument(index: usize, operator: Op, value: u64, second: Option<u64>) -> LinuxSeccompArg {
    let builder = LinuxSeccompArgBuilder::default().index(index).op(operator).value(value);
    let builder = match second {
        Some(second) => builder.value_two(second),
        None => builder,
    };
    // Every field has a default: it cannot fail.
    builder.build().unwrap_or_default()
}

/// What comes with a capability.
#[rustfmt::skip]
const WITH: &[(Capability, &[&str])] = &[
    (Capability::DacReadSearch, &["open_by_handle_at"]),
    (Capability::SysAdmin, &[
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie", "mount",
        "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "perf_event_open", "quotactl", "quotactl_fd",
        "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2", "unshare",
    ]),
    (Capability::SysBoot, &["reboot"]),
    (Capability::SysChroot, &["chroot"]),
    (Capability::SysModule, &["delete_module", "finit_module", "init_module"]),
    (Capability::SysPacct, &["acct"]),
    (Capability::SysPtrace, &["kcmp", "pidfd_getfd", "process_madvise"]),
    (Capability::SysRawio, &["ioperm", "iopl"]),
    (Capability::SysTime, &["clock_settime", "clock_settime64", "settimeofday", "stime"]),
    (Capability::SysTtyConfig, &["vhangup"]),
    (Capability::SysNice, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    (Capability::Syslog, &["syslog"]),
    (Capability::Bpf, &["bpf"]),
    (Capability::Perfmon, &["perf_event_open"]),
];

#[rustfmt::skip]
const FILES: &[&str] = &[
    // Opening, making, naming.
    "access", "chdir", "close", "close_range", "creat", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fchdir",
    "getcwd", "link", "linkat", "memfd_create", "memfd_secret", "mkdir", "mkdirat", "mknod", "mknodat",
    "name_to_handle_at", "open", "openat", "openat2", "pipe", "pipe2", "readlink", "readlinkat", "rename", "renameat",
    "renameat2", "rmdir", "symlink", "symlinkat", "umask", "unlink", "unlinkat",
    // Reading and writing.
    "_llseek", "copy_file_range", "fadvise64", "fadvise64_64", "fallocate", "fdatasync", "flock", "fsync", "ftruncate",
    "ftruncate64", "getdents", "getdents64", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
    "io_pgetevents_time64", "io_setup", "io_submit", "lseek", "pread64", "preadv", "preadv2", "pwrite64", "pwritev",
    "pwritev2", "read", "readahead", "readv", "sendfile", "sendfile64", "splice", "sync", "sync_file_range", "syncfs",
    "tee", "truncate", "truncate64", "vmsplice", "write", "writev",
    // What is known of them.
    "chmod", "chown", "chown32", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl",
    "fcntl64", "file_getattr", "file_setattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "futimesat",
    "ioctl", "lchown", "lchown32", "lstat", "lstat64", "newfstatat", "stat", "stat64", "statfs", "statfs64", "statx",
    "utime", "utimensat", "utimensat_time64", "utimes", "listmount", "statmount",
    "fgetxattr", "flistxattr", "fremovexattr", "fsetxattr", "getxattr", "getxattrat", "lgetxattr", "listxattr",
    "listxattrat", "llistxattr", "lremovexattr", "lsetxattr", "removexattr", "removexattrat", "setxattr", "setxattrat",
    // What happens to them.
    "fanotify_mark", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
];

#[rustfmt::skip]
const MEMORY: &[&str] = &[
    "brk", "cachestat", "madvise", "map_shadow_stack", "membarrier", "mincore", "mlock", "mlock2", "mlockall", "mmap",
    "mmap2", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free",
    "pkey_mprotect", "remap_file_pages",
];

#[rustfmt::skip]
const PROCESSES: &[&str] = &[
    "execve", "execveat", "exit", "exit_group", "fork", "get_robust_list", "get_thread_area", "getcpu", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getrlimit", "getrusage", "getsid", "gettid", "ioprio_get",
    "ioprio_set", "pidfd_open", "pidfd_send_signal", "prctl", "prlimit64", "process_mrelease", "process_vm_readv",
    "process_vm_writev", "ptrace", "rseq", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64",
    "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "set_robust_list",
    "set_thread_area", "set_tid_address", "setpgid", "setpriority", "setrlimit", "setsid", "ugetrlimit", "uretprobe",
    "vfork", "wait4", "waitid", "waitpid",
    // The system, seen.
    "getrandom", "sysinfo", "uname",
    // Confining oneself further.
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "seccomp",
];

#[rustfmt::skip]
const IDENTITY: &[&str] = &[
    "capget", "capset", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
    "getgroups32", "getresgid", "getresgid32", "getresuid", "getresuid32", "getuid", "getuid32", "setfsgid",
    "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setregid", "setregid32",
    "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setuid", "setuid32",
];

#[rustfmt::skip]
const SIGNALS: &[&str] = &[
    "kill", "pause", "restart_syscall", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo",
    "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sigaction",
    "sigaltstack", "signal", "signalfd", "signalfd4", "sigpending", "sigprocmask", "sigreturn", "sigsuspend", "tgkill",
    "tkill",
];

#[rustfmt::skip]
const TIME: &[&str] = &[
    // Setting a clock by them takes CAP_SYS_TIME, which the kernel asks for.
    "adjtimex", "clock_adjtime", "clock_adjtime64",
    "alarm", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep", "setitimer", "time", "timer_create",
    "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64",
    "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "times",
];

#[rustfmt::skip]
const WAITING: &[&str] = &[
    "_newselect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "futex", "futex_requeue", "futex_time64", "futex_wait",
    "futex_waitv", "futex_wake", "poll", "ppoll", "ppoll_time64", "pselect6", "pselect6_time64", "select",
];

#[rustfmt::skip]
const SOCKETS: &[&str] = &[
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recv", "recvfrom",
    "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
    "socketpair",
    // Libraries of 32 bits make all their sockets by it.
    "socketcall",
];

#[rustfmt::skip]
const SYSTEM_V: &[&str] = &[
    "ipc", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend",
    "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop",
    "semtimedop", "semtimedop_time64", "shmat", "shmctl", "shmdt", "shmget",
];

const X86: &[&str] = &["arch_prctl", "modify_ldt"];

const ARM: &[&str] =
    &["arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compile, interpreter::run};

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;

    fn answer(capabilities: &[Capability], name: &str, arguments: [u64; 6]) -> u32 {
        let filter = compile(&default_profile(&capabilities.iter().copied().collect()), Architecture::X86_64).unwrap();
        run(&filter.program, Architecture::X86_64, name, arguments)
    }

    #[test]
    fn every_name_is_a_system_call_of_some_architecture() {
        let all: Capabilities = WITH.iter().map(|(capability, _)| *capability).collect();
        let known = [Architecture::X86_64, Architecture::X86, Architecture::Aarch64, Architecture::Arm];
        for rule in default_profile(&all).syscalls().iter().flatten() {
            for name in rule.names() {
                // Of ppc, s390 and old kernels' time.
                assert!(known.iter().any(|one| one.number(name).is_some()), "{name}");
            }
        }
    }

    #[test]
    fn what_programs_use_is_allowed_and_what_nodes_use_is_not() {
        for name in ["read", "openat", "execve", "clone", "ptrace", "fchmodat2", "futex_waitv", "chown", "statx"] {
            assert_eq!(answer(&[], name, [0; 6]), ALLOW, "{name}");
        }
        for name in [
            "mount",
            "unshare",
            "setns",
            "bpf",
            "reboot",
            "keyctl",
            "add_key",
            "io_uring_setup",
            "kexec_load",
            "init_module",
            "userfaultfd",
            "open_by_handle_at",
            "settimeofday",
            "swapon",
            "pivot_root",
            "chroot",
        ] {
            assert_eq!(answer(&[], name, [0; 6]), EPERM, "{name}");
        }
        assert_eq!(answer(&[], "clone3", [0; 6]), ENOSYS);
    }

    #[test]
    fn capabilities_bring_what_they_are_for() {
        for (capability, name) in [
            (Capability::SysAdmin, "mount"),
            (Capability::SysAdmin, "clone3"),
            (Capability::SysChroot, "chroot"),
            (Capability::SysTime, "settimeofday"),
            (Capability::Bpf, "bpf"),
            (Capability::Syslog, "syslog"),
            (Capability::DacReadSearch, "open_by_handle_at"),
            (Capability::SysModule, "finit_module"),
        ] {
            assert_eq!(answer(&[capability], name, [0; 6]), ALLOW, "{name}");
            assert_ne!(answer(&[Capability::Chown], name, [0; 6]), ALLOW, "{name}");
        }
    }

    #[test]
    fn arguments_are_looked_at() {
        let first = |value| [value, 0, 0, 0, 0, 0];
        assert_eq!(answer(&[], "clone", first(0x0100_0011)), ALLOW, "a thread");
        assert_eq!(answer(&[], "clone", first(0x1000_0011)), EPERM, "CLONE_NEWUSER");
        assert_eq!(answer(&[Capability::SysAdmin], "clone", first(0x1000_0011)), ALLOW);
        for (family, wanted) in
            [(1, ALLOW), (2, ALLOW), (16, ALLOW), (38, EPERM), (39, ALLOW), (40, EPERM), (44, ALLOW)]
        {
            assert_eq!(answer(&[], "socket", first(family)), wanted, "family {family}");
        }
        for (domain, wanted) in [(0, ALLOW), (8, ALLOW), (0xffff_ffff, ALLOW), (1, EPERM), (0x4_0000, EPERM)] {
            assert_eq!(answer(&[], "personality", first(domain)), wanted, "domain {domain:x}");
        }
    }
}
