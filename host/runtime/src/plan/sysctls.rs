use std::ffi::CString;

use wharf_error::{Error, Result};

use crate::child::{Op, Program};

const IPC: [&str; 5] = ["kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall"];

/// Adds a step for each kernel setting. `has` says which namespaces (`CLONE_NEW*`) are not the caller's: a setting that
/// belongs to none of them is the whole machine's, and refused. `root` is the host's name for the root of the user
/// namespace that they belong to.
pub(crate) fn plan_sysctls<'a>(
    settings: impl IntoIterator<Item = (&'a String, &'a String)>,
    has: impl Fn(i32) -> bool,
    root: Option<u32>,
    program: &mut Program,
) -> Result<()> {
    for (name, value) in settings {
        let parts = split(name)?;
        let dotted = parts.join(".");
        let (kind, list) = owner(&dotted).ok_or_else(|| {
            Error::invalid(format!("sysctl {name:?} belongs to no namespace: it would change the whole machine"))
        })?;
        if !has(kind) {
            return Err(Error::invalid(format!("sysctl {name:?} needs a {list} namespace that is not the host's")));
        }
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(Error::invalid(format!("sysctl {name:?}: its value {value:?} contains control characters")));
        }
        let path = CString::new(format!("sys/{}", parts.join("/")))
            .map_err(|_| Error::invalid(format!("sysctl {name:?} contains a NUL byte")))?;
        // These ask who one is, and not what one may.
        let owner = root.filter(|_| kind == libc::CLONE_NEWIPC);
        program.step(format!("sysctl {name}={value}"), Op::Sysctl { path, value: value.clone().into_bytes(), owner });
    }
    Ok(())
}

/// The namespace that a setting belongs to.
fn owner(dotted: &str) -> Option<(i32, &'static str)> {
    if dotted.starts_with("net.") {
        Some((libc::CLONE_NEWNET, "network"))
    } else if IPC.contains(&dotted)
        || dotted.starts_with("kernel.shm")
        || dotted.starts_with("kernel.msg")
        || dotted.starts_with("fs.mqueue.")
    {
        Some((libc::CLONE_NEWIPC, "ipc"))
    } else if dotted == "kernel.domainname" {
        Some((libc::CLONE_NEWUTS, "uts"))
    } else {
        None
    }
}

/// The parts of a name, as sysctl(8) reads it: what separates first is the separator, and the other of `.` and `/`
/// stands for it within a part (`net/ipv4/conf/eth0.100/rp_filter`, `net.ipv4.conf.eth0/100.rp_filter`).
fn split(name: &str) -> Result<Vec<String>> {
    let slashes = name.find(['.', '/']).is_some_and(|at| name.as_bytes().get(at) == Some(&b'/'));
    let parts: Vec<String> = if slashes {
        name.split('/').map(str::to_owned).collect()
    } else {
        name.split('.').map(|part| part.replace('/', ".")).collect()
    };
    if parts.iter().any(|part| matches!(part.as_str(), "" | "." | "..") || part.contains(char::is_control)) {
        return Err(Error::invalid(format!("sysctl {name:?} is no name of a kernel setting")));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str, value: &str) -> Result<CString> {
        let mut program = Program::default();
        plan_sysctls([(&name.to_owned(), &value.to_owned())], |_| true, None, &mut program)?;
        match program.steps.pop() {
            Some(Op::Sysctl { path, .. }) => Ok(path),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_become_paths_as_sysctl_reads_them() {
        for (name, path) in [
            ("net.ipv4.ip_forward", c"sys/net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", c"sys/net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/100.rp_filter", c"sys/net/ipv4/conf/eth0.100/rp_filter"),
            ("net/ipv4/conf/eth0.100/rp_filter", c"sys/net/ipv4/conf/eth0.100/rp_filter"),
            ("kernel.shm_rmid_forced", c"sys/kernel/shm_rmid_forced"),
            ("fs.mqueue.msg_max", c"sys/fs/mqueue/msg_max"),
        ] {
            assert_eq!(plan(name, "1").unwrap().as_c_str(), path);
        }
    }

    #[test]
    fn settings_of_the_machine_and_odd_names_are_refused() {
        for name in [
            "kernel.core_pattern",
            "kernel/core_pattern",
            "vm.overcommit_memory",
            "kernel.hostname",
            "net",
            "net..ipv4",
            "net.../../kernel/core_pattern",
            "net/../kernel/core_pattern",
            "net.ipv4.ip_forward\n",
            "",
        ] {
            assert!(plan(name, "1").is_err(), "{name:?} is taken");
        }
    }

    #[test]
    fn values_are_one_line_and_namespaces_must_be_there() {
        assert!(plan("net.ipv4.ping_group_range", "0\t1000").is_ok());
        assert!(plan("net.ipv4.ip_forward", "1\nkernel.core_pattern=|/evil").is_err());
        let (name, value) = ("net.ipv4.ip_forward".to_owned(), "1".to_owned());
        let error = plan_sysctls([(&name, &value)], |_| false, None, &mut Program::default()).unwrap_err();
        assert!(error.to_string().contains("network namespace"), "{error}");
    }
}
