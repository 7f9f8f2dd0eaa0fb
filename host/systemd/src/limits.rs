//! OCI's limits as properties of a unit.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};
use wharf_cgroups::weight_of;
use wharf_error::{Error, Result};

use crate::bus::{Properties, Value};

/// systemd's word for none.
const NONE: u64 = u64::MAX;
const DEFAULT_PERIOD: u64 = 100_000;
/// A hundredth of a processor, microseconds a second: what systemd counts in; the rest it cuts off.
const PERCENT: u64 = 10_000;
/// More processors, or memory nodes, than Linux can have.
const MOST: usize = 1 << 16;

/// Keys of cgroup v2 with one number for which there is a property.
const UNIFIED: &[(&str, &str)] = &[
    ("memory.min", "MemoryMin"),
    ("memory.low", "MemoryLow"),
    ("memory.high", "MemoryHigh"),
    ("memory.max", "MemoryMax"),
    ("memory.swap.max", "MemorySwapMax"),
    ("pids.max", "TasksMax"),
];

/// Of those that are present; what systemd has no property for is left out.
pub(crate) fn properties(resources: &LinuxResources) -> Result<Properties> {
    let mut properties = Properties::new();
    if let Some(limits) = resources.memory() {
        memory(limits, &mut properties);
    }
    if let Some(limits) = resources.cpu() {
        cpu(limits, &mut properties)?;
    }
    if let Some(pids) = resources.pids() {
        properties.push(("TasksMax", u64::try_from(pids.limit()).ok().filter(|&most| most > 0).unwrap_or(NONE).into()));
    }
    let unified = resources.unified().iter().flatten();
    for (key, value) in unified {
        let known = UNIFIED.iter().find(|(name, _)| name == key);
        let number = if value == "max" { Some(NONE) } else { value.parse().ok() };
        if let (Some((_, property)), Some(number)) = (known, number) {
            properties.push((*property, number.into()));
        }
    }
    Ok(properties)
}

fn memory(memory: &LinuxMemory, properties: &mut Properties) {
    // OCI: 0 is "not set", -1 "none".
    let set = |value: Option<i64>| value.filter(|&value| value != 0);
    let number = |value: i64| u64::try_from(value).unwrap_or(NONE);
    let limit = set(memory.limit());
    properties.extend(limit.map(|limit| ("MemoryMax", number(limit).into())));
    match (limit, set(memory.swap())) {
        (_, Some(..0)) => properties.push(("MemorySwapMax", NONE.into())),
        // OCI counts memory and swap together, v2 swap alone.
        (Some(limit), Some(both)) => {
            properties.push(("MemorySwapMax", number(both).saturating_sub(number(limit)).into()));
        }
        _ => {}
    }
    properties.extend(set(memory.reservation()).map(|low| ("MemoryLow", number(low).into())));
}

fn cpu(cpu: &LinuxCpu, properties: &mut Properties) -> Result<()> {
    if let Some(shares) = cpu.shares().filter(|&shares| shares != 0) {
        properties.push(("CPUWeight", weight_of(shares).into()));
    }
    let period = cpu.period().filter(|&period| period != 0);
    if let Some(quota) = cpu.quota().filter(|&quota| quota != 0) {
        let per_second = u64::try_from(quota).map_or(NONE, |quota| {
            quota
                .saturating_mul(1_000_000)
                .div_ceil(period.unwrap_or(DEFAULT_PERIOD))
                .div_ceil(PERCENT)
                .saturating_mul(PERCENT)
        });
        properties.push(("CPUQuotaPerSecUSec", per_second.into()));
    }
    properties.extend(period.map(|period| ("CPUQuotaPeriodUSec", period.into())));
    for (name, list) in [("AllowedCPUs", cpu.cpus()), ("AllowedMemoryNodes", cpu.mems())] {
        if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
            properties.push((name, Value::Bytes(mask(list)?)));
        }
    }
    Ok(())
}

/// `0-2,5` as bits, the lowest first.
fn mask(list: &str) -> Result<Vec<u8>> {
    let bad = || Error::invalid(format!("{list:?} is no list of numbers and ranges, as in 0-2,5"));
    let mut mask = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|&number| number < MOST).ok_or_else(bad);
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(bad());
        }
        for bit in first..=last {
            if mask.len() <= bit / 8 {
                mask.resize(bit / 8 + 1, 0);
            }
            mask[bit / 8] |= 1 << (bit % 8);
        }
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Vec<(&'static str, String)> {
        let resources = serde_json::from_str(json).unwrap();
        properties(&resources).unwrap().into_iter().map(|(name, value)| (name, format!("{value:?}"))).collect()
    }

    #[test]
    fn limits_become_properties_in_systemds_units() {
        let told = of(
            r#"{ "memory": { "limit": 1000, "swap": 1500 }, "cpu": { "shares": 1024, "quota": 12345, "period": 100000 } }"#,
        );
        let expected =
            [("MemoryMax", 1000), ("MemorySwapMax", 500), ("CPUWeight", 100), ("CPUQuotaPerSecUSec", 130_000)];
        for ((name, value), (wanted, number)) in told.iter().zip(expected) {
            assert_eq!((*name, value.as_str()), (wanted, format!("U64({number})").as_str()));
        }
        assert_eq!(told.len(), 5, "and the period: {told:?}");
    }

    #[test]
    fn none_is_none_and_what_is_not_set_is_not_told() {
        let none = format!("U64({})", u64::MAX);
        let told = of(r#"{ "memory": { "limit": -1, "swap": -1 }, "cpu": { "quota": -1 }, "pids": { "limit": 0 } }"#);
        assert!(told.len() == 4 && told.iter().all(|(_, value)| *value == none), "{told:?}");
        assert!(of(r#"{ "memory": { "limit": 0 }, "cpu": { "cpus": "" } }"#).is_empty());
        let unified = of(r#"{ "unified": { "memory.high": "7", "pids.max": "max", "io.max": "8:0 rbps=1" } }"#);
        assert_eq!(unified.len(), 2, "{unified:?}");
    }

    #[test]
    fn a_list_of_processors_becomes_bits() {
        assert_eq!(mask("0-2,9").unwrap(), [0b111, 0b10]);
        for bad in ["", "a", "3-", "5-2", "70000", "0-99999999999"] {
            assert!(mask(bad).is_err(), "{bad}");
        }
    }
}
