use std::sync::OnceLock;

use oci_spec::runtime::Arch;
use syscalls::{aarch64, arm, x86, x86_64};

/// A system call interface of a processor that we run on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Architecture {
    /// 64 bits of x86.
    X86_64,
    /// 32 bits of x86.
    X86,
    /// 32-bit pointers on 64 bits of x86: the kernel marks its numbers by `X32_BIT`.
    X32,
    /// 64 bits of arm.
    Aarch64,
    /// 32 bits of arm, EABI.
    Arm,
}

/// What tells x32's numbers from x86-64's, with which it shares an architecture for the kernel.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// Arm's private numbers start here: they say nothing about a kernel's age.
pub(crate) const ARM_PRIVATE: u32 = 0xf_0000;

/// The names with an x32 number of their own; all others have x86-64's.
const X32_OWN: [(&str, u32); 34] = [
    ("rt_sigaction", 512),
    ("rt_sigreturn", 513),
    ("ioctl", 514),
    ("readv", 515),
    ("writev", 516),
    ("recvfrom", 517),
    ("sendmsg", 518),
    ("recvmsg", 519),
    ("execve", 520),
    ("ptrace", 521),
    ("rt_sigpending", 522),
    ("rt_sigtimedwait", 523),
    ("rt_sigqueueinfo", 524),
    ("sigaltstack", 525),
    ("timer_create", 526),
    ("mq_notify", 527),
    ("kexec_load", 528),
    ("waitid", 529),
    ("set_robust_list", 530),
    ("get_robust_list", 531),
    ("vmsplice", 532),
    ("move_pages", 533),
    ("preadv", 534),
    ("pwritev", 535),
    ("rt_tgsigqueueinfo", 536),
    ("process_vm_readv", 537),
    ("process_vm_writev", 538),
    ("setsockopt", 539),
    ("getsockopt", 540),
    ("io_setup", 541),
    ("io_submit", 542),
    ("execveat", 543),
    ("preadv2", 546),
    ("pwritev2", 547),
];

const ARM_OWN: [(&str, u32); 6] = [
    ("breakpoint", 0xf_0001),
    ("cacheflush", 0xf_0002),
    ("usr26", 0xf_0003),
    ("usr32", 0xf_0004),
    ("set_tls", 0xf_0005),
    ("get_tls", 0xf_0006),
];

/// What i386's `socketcall` multiplexes, by its first argument.
const SOCKET_CALLS: [(&str, u32); 20] = [
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("accept", 5),
    ("getsockname", 6),
    ("getpeername", 7),
    ("socketpair", 8),
    ("send", 9),
    ("recv", 10),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("recvmmsg", 19),
    ("sendmmsg", 20),
];

type Table = Vec<(&'static str, u32)>;

/// All of an architecture's; the crate's own iterator leaves the last one out.
macro_rules! all_of {
    ($name:ident) => {{
        let all = $name::Sysno::iter().chain([$name::Sysno::last()]);
        all.map(|call| (call.name(), call.id().cast_unsigned())).collect::<Table>()
    }};
}

impl Architecture {
    /// The one that this program was built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::X86_64;
    /// The one that this program was built for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Aarch64;

    /// A profile's word; `None` for a processor that we do not run on: its system calls cannot arrive here.
    pub(crate) fn of(word: Arch, native: Self) -> Option<Self> {
        match word {
            Arch::ScmpArchNative => Some(native),
            Arch::ScmpArchX86_64 => Some(Self::X86_64),
            Arch::ScmpArchX86 => Some(Self::X86),
            Arch::ScmpArchX32 => Some(Self::X32),
            Arch::ScmpArchAarch64 => Some(Self::Aarch64),
            Arch::ScmpArchArm => Some(Self::Arm),
            _ => None,
        }
    }

    /// The word for it in a profile.
    pub(crate) fn word(self) -> Arch {
        match self {
            Self::X86_64 => Arch::ScmpArchX86_64,
            Self::X86 => Arch::ScmpArchX86,
            Self::X32 => Arch::ScmpArchX32,
            Self::Aarch64 => Arch::ScmpArchAarch64,
            Self::Arm => Arch::ScmpArchArm,
        }
    }

    /// What a kernel of this architecture also serves, to be listed beside it in a profile.
    pub(crate) fn with_others(self) -> &'static [Arch] {
        match self {
            Self::Aarch64 | Self::Arm => &[Arch::ScmpArchAarch64, Arch::ScmpArchArm],
            _ => &[Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32],
        }
    }

    /// The kernel's `AUDIT_ARCH_*`.
    pub(crate) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether an argument is a register of 64 bits.
    pub(crate) fn is_wide(self) -> bool {
        matches!(self, Self::X86_64 | Self::X32 | Self::Aarch64)
    }

    /// A system call's number, without [`X32_BIT`]; `None` where there is no such call.
    pub(crate) fn number(self, name: &str) -> Option<u32> {
        let table = self.table();
        let at = table.binary_search_by_key(&name, |(name, _)| name).ok()?;
        table.get(at).map(|(_, number)| *number)
    }

    /// Under which first argument `socketcall` does what this name does.
    pub(crate) fn socket_call(self, name: &str) -> Option<u32> {
        let calls: &[_] = if self == Self::X86 { &SOCKET_CALLS } else { &[] };
        calls.iter().find(|(call, _)| *call == name).map(|(_, number)| *number)
    }

    /// Names and numbers, by name.
    fn table(self) -> &'static Table {
        static TABLES: [OnceLock<Table>; 5] = [const { OnceLock::new() }; 5];
        let [x86_64, x86, x32, aarch64, arm] = &TABLES;
        match self {
            Self::X86_64 => x86_64.get_or_init(|| sorted(all_of!(x86_64))),
            Self::X86 => x86.get_or_init(|| sorted(all_of!(x86))),
            Self::X32 => x32.get_or_init(|| {
                let own = |name| X32_OWN.iter().find(|(other, _)| *other == name).map(|(_, number)| *number);
                let all = Self::X86_64.table().iter();
                sorted(all.map(|(name, number)| (*name, own(*name).unwrap_or(*number))).collect())
            }),
            Self::Aarch64 => aarch64.get_or_init(|| sorted(all_of!(aarch64))),
            Self::Arm => arm.get_or_init(|| {
                let mut all = all_of!(arm);
                all.retain(|(_, number)| *number < ARM_PRIVATE);
                all.extend(ARM_OWN);
                sorted(all)
            }),
        }
    }
}

fn sorted(mut table: Table) -> Table {
    table.sort_unstable();
    table.shrink_to_fit();
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernel_s() {
        for (architecture, name, number) in [
            (Architecture::X86_64, "read", Some(0)),
            (Architecture::X86_64, "clone3", Some(435)),
            (Architecture::X86_64, "file_setattr", Some(469)),
            (Architecture::X86_64, "waitpid", None),
            (Architecture::X86, "waitpid", Some(7)),
            (Architecture::X86, "socketcall", Some(102)),
            (Architecture::X86, "clock_gettime64", Some(403)),
            (Architecture::X32, "read", Some(0)),
            (Architecture::X32, "execve", Some(520)),
            (Architecture::Aarch64, "openat", Some(56)),
            (Architecture::Aarch64, "open", None),
            (Architecture::Arm, "open", Some(5)),
            (Architecture::Arm, "set_tls", Some(0xf_0005)),
            (Architecture::X86_64, "no_such_call", None),
        ] {
            assert_eq!(architecture.number(name), number, "{architecture:?} {name}");
        }
        assert_eq!(Architecture::X86_64.number("read"), Some(u32::try_from(libc::SYS_read).unwrap()));
    }
}
