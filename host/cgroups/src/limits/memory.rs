use std::io;

use oci_spec::runtime::LinuxMemory;
use wharf_error::{Error, Kind, Result};

use super::{or_max, required, write_if_there};
use crate::{Cgroup, Controller, cgroup::Slot};

const LIMIT: &str = "memory.limit_in_bytes";
const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";

/// Kernel memory limits are ignored: the kernel gave them up in 5.16.
pub fn apply(cgroup: &Cgroup, memory: &LinuxMemory, warnings: &mut Vec<String>) -> Result<()> {
    // OCI: 0 means "not set", -1 means "no limit".
    let limit = memory.limit().filter(|&limit| limit != 0);
    let swap = memory.swap().filter(|&swap| swap != 0);
    let reservation = memory.reservation().filter(|&reservation| reservation != 0);
    let no_killer = memory.disable_oom_killer().unwrap_or_default();
    if limit.is_none() && swap.is_none() && reservation.is_none() && memory.swappiness().is_none() && !no_killer {
        return Ok(());
    }
    if let (Some(limit), Some(swap)) = (limit, swap)
        && swap > 0
        && (limit < 0 || swap < limit)
    {
        let what = format!("memory and swap together ({swap}) are less than memory alone ({limit})");
        return Err(Error::invalid(what));
    }
    let slot = required(cgroup, Controller::Memory)?;
    if let Some(limit) = limit.filter(|_| memory.check_before_update().unwrap_or_default()) {
        check_usage(&slot, limit)?;
    }
    if slot.v2 {
        return apply_v2(&slot, limit, swap, reservation, memory, warnings);
    }
    set_v1(&slot, limit, swap, warnings)?;
    if let Some(reservation) = reservation {
        slot.write("memory.soft_limit_in_bytes", &reservation.to_string())?;
    }
    if let Some(swappiness) = memory.swappiness() {
        if swappiness > 100 {
            return Err(Error::invalid(format!("swappiness {swappiness} is not between 0 and 100")));
        }
        write_if_there(&slot, "memory.swappiness", &swappiness.to_string(), warnings)?;
    }
    if no_killer {
        slot.write("memory.oom_control", "1")?;
    }
    Ok(())
}

/// The kernel keeps memory <= memory + swap at every moment, so that the order of the two writes
/// depends on where they come from.
fn set_v1(slot: &Slot, limit: Option<i64>, swap: Option<i64>, warnings: &mut Vec<String>) -> Result<()> {
    let swap = swap.filter(|swap| {
        let there = slot.has(WITH_SWAP);
        if !there {
            warnings.push(format!("swap limit {swap} is not set: the kernel does not account swap"));
        }
        there
    });
    let Some(limit) = limit.map(|limit| limit.to_string()) else {
        return swap.map_or(Ok(()), |swap| slot.write(WITH_SWAP, &swap.to_string()));
    };
    match (slot.try_write(LIMIT, &limit), swap) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(swap)) => slot.write(WITH_SWAP, &swap.to_string()),
        (Err(error), Some(swap)) if error.kind() == io::ErrorKind::InvalidInput => {
            slot.write(WITH_SWAP, &swap.to_string())?;
            slot.write(LIMIT, &limit)
        }
        (Err(error), _) => Err(slot.refused(LIMIT, &limit, &error)),
    }
}

fn apply_v2(
    slot: &Slot,
    limit: Option<i64>,
    swap: Option<i64>,
    reservation: Option<i64>,
    memory: &LinuxMemory,
    warnings: &mut Vec<String>,
) -> Result<()> {
    if let Some(swap) = swap {
        // OCI counts memory and swap together, v2 swap alone.
        let alone = match limit {
            _ if swap < 0 => or_max(swap),
            Some(limit) => (swap - limit).to_string(),
            None => return Err(Error::invalid(format!("swap limit {swap} without a memory limit"))),
        };
        write_if_there(slot, "memory.swap.max", &alone, warnings)?;
    }
    if let Some(limit) = limit {
        slot.write("memory.max", &or_max(limit))?;
    }
    if let Some(reservation) = reservation {
        slot.write("memory.low", &or_max(reservation))?;
    }
    if memory.swappiness().is_some() {
        warnings.push("swappiness is not set: cgroup v2 has none".into());
    }
    if memory.disable_oom_killer().unwrap_or_default() {
        warnings.push("the OOM killer stays on: cgroup v2 cannot turn it off".into());
    }
    Ok(())
}

fn check_usage(slot: &Slot, limit: i64) -> Result<()> {
    let usage = slot.number(if slot.v2 { "memory.current" } else { "memory.usage_in_bytes" })?;
    match u64::try_from(limit) {
        Ok(limit) if usage > limit => {
            let what = format!("memory limit {limit} is below what is in use ({usage} bytes)");
            Err(Error::new(Kind::FailedPrecondition, what))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Own, fake_v2};
    use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResourcesBuilder};

    const MIB: i64 = 1024 * 1024;

    fn set(cgroup: &Cgroup, limit: i64, swap: i64) -> Result<Vec<String>> {
        let memory = LinuxMemoryBuilder::default().limit(limit).swap(swap).reservation(MIB).build().unwrap();
        cgroup.apply(&LinuxResourcesBuilder::default().memory(memory).build().unwrap())
    }

    #[test]
    fn limits_go_up_and_down_whatever_their_order() {
        let own = Own::new("memory");
        let slot = own.cgroup.slot(Controller::Memory).unwrap();
        if slot.v2 {
            return;
        }
        for size in [64 * MIB, 512 * MIB, 32 * MIB] {
            assert!(set(&own.cgroup, size, size).unwrap().is_empty());
            assert_eq!(slot.read(LIMIT).unwrap().trim(), size.to_string());
            assert_eq!(slot.read(WITH_SWAP).unwrap().trim(), size.to_string());
            assert_eq!(slot.read("memory.soft_limit_in_bytes").unwrap().trim(), MIB.to_string());
        }
        set(&own.cgroup, -1, -1).unwrap();
        assert!(slot.number(LIMIT).unwrap() > 1 << 60, "no limit");
        assert_eq!(set(&own.cgroup, 8 * MIB, 4 * MIB).unwrap_err().kind(), Kind::InvalidArgument);
    }

    #[test]
    fn v2_gets_swap_alone_and_max() {
        let (own, cgroup) = fake_v2(&["memory.max", "memory.swap.max", "memory.low"]);
        let read = |name: &str| std::fs::read_to_string(own.path().join("c").join(name)).unwrap();
        set(&cgroup, 64 * MIB, 96 * MIB).unwrap();
        assert_eq!(read("memory.max"), (64 * MIB).to_string());
        assert_eq!(read("memory.swap.max"), (32 * MIB).to_string());
        assert_eq!(read("memory.low"), MIB.to_string());
    }

    #[test]
    fn a_limit_that_cannot_be_enforced_is_an_error() {
        let (_own, cgroup) = fake_v2(&[]);
        let error = set(&cgroup, 64 * MIB, -1).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("memory.max"), "{error}");
    }
}
