use oci_spec::runtime::{
    IOPriorityClass, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy, Process, Scheduler, Spec,
};
use wharf_error::{Error, Kind, Result};

use super::MemoryPolicy;
use crate::{
    child::{Op, Program},
    sys::Schedule,
};

/// The most processors, or nodes, that a list may speak of: as many as a kernel can be built for.
const MOST: usize = 8192;

/// Adds the steps that say how a process and what it reads and writes are scheduled, while it may still raise that.
pub(super) fn plan_scheduling(process: &Process, program: &mut Program) -> Result<()> {
    if let Some(scheduler) = process.scheduler() {
        let policy = scheduler.policy();
        program.step(format!("process.scheduler {policy}"), Op::Schedule(schedule(scheduler)?));
    }
    if let Some(asked) = process.io_priority() {
        let (class, level) = (asked.class(), asked.priority());
        let name = format!("process.ioPriority {class} {level}");
        let level = i32::try_from(level).ok().filter(|level| (0..8).contains(level));
        let level = level.ok_or_else(|| Error::invalid(format!("{name}: a priority is from 0 to 7")))?;
        let class = match class {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        program.step(name, Op::IoPriority(class << 13 | level));
    }
    Ok(())
}

/// Where an exec runs before it is in the container's cgroup, and where once it is there.
pub(crate) struct Affinity {
    pub(crate) before: Option<Vec<u8>>,
    pub(crate) after: Option<Vec<u8>>,
}

/// Reads `process.execCPUAffinity`. What was narrowed before is wide again after, unless said otherwise.
pub(crate) fn exec_affinity(process: &Process) -> Result<Affinity> {
    let Some(asked) = process.exec_cpu_affinity() else { return Ok(Affinity { before: None, after: None }) };
    let set = |field: &str, list: &Option<String>| {
        let list = list.as_deref().filter(|list| !list.is_empty());
        list.map(|list| set_of(list).map_err(|why| wrong(field, list, why))).transpose()
    };
    let before = set("initial", asked.initial())?;
    let after = set("final", asked.cpu_affinity_final())?;
    let all = before.as_ref().map(|_| vec![0xff; MOST / 8]);
    Ok(Affinity { before, after: after.or(all) })
}

/// What holds for all processes of a container.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Traits {
    personality: Option<u32>,
    memory_policy: Option<MemoryPolicy>,
}

impl Traits {
    /// Those of a specification.
    pub(crate) fn of(spec: &Spec) -> Result<Self> {
        Ok(Self { personality: personality(spec)?, memory_policy: MemoryPolicy::of(spec)? })
    }

    /// Adds the steps that give them to a process.
    pub(super) fn plan(&self, program: &mut Program) {
        if let Some(domain) = self.personality {
            program.step("linux.personality", Op::Personality(domain));
        }
        if let Some(policy) = &self.memory_policy {
            policy.plan(program);
        }
    }
}

fn personality(spec: &Spec) -> Result<Option<u32>> {
    let asked = spec.linux().as_ref().and_then(|linux| linux.personality().as_ref());
    let Some(asked) = asked else { return Ok(None) };
    if let Some(flag) = asked.flags().iter().flatten().next() {
        let what = format!("linux.personality.flags {flag:?} is not supported by this runtime");
        return Err(Error::new(Kind::Unsupported, what));
    }
    Ok(Some(match asked.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }))
}

fn schedule(asked: &Scheduler) -> Result<Schedule> {
    let policy = match asked.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    let bit = |flag: &LinuxSchedulerFlag| match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    };
    let priority = asked.priority().unwrap_or_default();
    let priority = u32::try_from(priority)
        .map_err(|_| Error::invalid(format!("process.scheduler.priority {priority} is below zero")))?;
    Ok(Schedule {
        size: u32::try_from(size_of::<Schedule>()).unwrap_or_default(),
        policy,
        flags: asked.flags().iter().flatten().map(bit).fold(0, |all, one| all | one),
        nice: asked.nice().unwrap_or_default(),
        priority,
        runtime: asked.runtime().unwrap_or_default(),
        deadline: asked.deadline().unwrap_or_default(),
        period: asked.period().unwrap_or_default(),
    })
}

/// `0-3,7` as one bit each.
pub(super) fn set_of(list: &str) -> Result<Vec<u8>, &'static str> {
    let mut set = vec![0_u8; MOST / 8];
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| "it is no list of numbers");
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= MOST {
            return Err("a range must go up, and end below 8192");
        }
        for one in first..=last {
            if let Some(byte) = set.get_mut(one / 8) {
                *byte |= 1 << (one % 8);
            }
        }
    }
    Ok(set)
}

fn wrong(field: &str, list: &str, why: &str) -> Error {
    Error::invalid(format!("process.execCPUAffinity.{field} {list:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers_are_sets() {
        let set = set_of("0-3,7, 9").unwrap();
        assert_eq!((set[0], set[1]), (0b1000_1111, 0b10));
        assert!(set[2..].iter().all(|byte| *byte == 0));
        for odd in ["", "a", "3-1", "8192", "0-", "-1", "0,,1"] {
            assert!(set_of(odd).is_err(), "{odd:?}");
        }
    }
}
