use oci_spec::runtime::{PosixRlimit, PosixRlimitType as Type};
use wharf_error::{Error, Result};

use crate::{
    child::{Op, Program},
    sys::Limit,
};

/// Adds a step for each resource limit.
pub(super) fn plan_limits(limits: &[PosixRlimit], program: &mut Program) -> Result<()> {
    for (at, limit) in limits.iter().enumerate() {
        let typ = limit.typ();
        if limits[..at].iter().any(|before| before.typ() == typ) {
            return Err(Error::invalid(format!("rlimit {typ}: it is given twice")));
        }
        if limit.soft() > limit.hard() {
            let (soft, hard) = (limit.soft(), limit.hard());
            return Err(Error::invalid(format!("rlimit {typ}: soft limit {soft} is above hard limit {hard}")));
        }
        let limit = Limit { soft: limit.soft(), hard: limit.hard() };
        program.step(format!("rlimit {typ}"), Op::Limit { resource: number(typ), limit });
    }
    Ok(())
}

/// Adds a step for each hard limit that may have to be raised while that is allowed.
pub(super) fn plan_raises(limits: &[PosixRlimit], program: &mut Program) {
    for limit in limits {
        let op = Op::RaiseLimit { resource: number(limit.typ()), hard: limit.hard() };
        program.step(format!("raise rlimit {}", limit.typ()), op);
    }
}

fn number(typ: Type) -> u32 {
    match typ {
        Type::RlimitCpu => libc::RLIMIT_CPU,
        Type::RlimitFsize => libc::RLIMIT_FSIZE,
        Type::RlimitData => libc::RLIMIT_DATA,
        Type::RlimitStack => libc::RLIMIT_STACK,
        Type::RlimitCore => libc::RLIMIT_CORE,
        Type::RlimitRss => libc::RLIMIT_RSS,
        Type::RlimitNproc => libc::RLIMIT_NPROC,
        Type::RlimitNofile => libc::RLIMIT_NOFILE,
        Type::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        Type::RlimitAs => libc::RLIMIT_AS,
        Type::RlimitLocks => libc::RLIMIT_LOCKS,
        Type::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        Type::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        Type::RlimitNice => libc::RLIMIT_NICE,
        Type::RlimitRtprio => libc::RLIMIT_RTPRIO,
        Type::RlimitRttime => libc::RLIMIT_RTTIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_given_once_and_its_soft_one_is_the_smaller() {
        let limit = |typ: &str, soft: u64, hard: u64| -> PosixRlimit {
            serde_json::from_value(serde_json::json!({ "type": typ, "soft": soft, "hard": hard })).unwrap()
        };
        let planned = |limits: &[PosixRlimit]| plan_limits(limits, &mut Program::default()).map_err(|e| e.to_string());
        assert_eq!(planned(&[limit("RLIMIT_NOFILE", 5, 6), limit("RLIMIT_CORE", 5, 6)]), Ok(()));
        assert!(planned(&[limit("RLIMIT_NOFILE", 5, 6), limit("RLIMIT_NOFILE", 5, 6)]).unwrap_err().contains("twice"));
        assert!(planned(&[limit("RLIMIT_NOFILE", 7, 6)]).unwrap_err().contains("above hard limit"));
    }
}
