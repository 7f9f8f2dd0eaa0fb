use std::path::PathBuf;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};
use wharf_error::{Error, Result, ResultExt as _};

use super::devices::{ALWAYS, access_of};
use crate::{Cgroup, Controller, Mode};

/// Device rules for a node without the devices controller of v1: an eBPF program, and the cgroup's directory that it
/// is to be attached to (`BPF_CGROUP_DEVICE`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceFilter {
    /// The cgroup's directory in the v2 hierarchy.
    pub directory: PathBuf,
    /// The program, an instruction a word.
    pub program: Vec<u64>,
}

impl Cgroup {
    /// The filter for these resources; `None` where they have no device rules, or v1 takes them
    /// ([`Cgroup::apply`]).
    pub fn device_filter(&self, resources: &LinuxResources) -> Result<Option<DeviceFilter>> {
        let rules = resources.devices().as_deref().unwrap_or_default();
        if rules.is_empty() || self.mode() != Mode::V2 || self.slot(Controller::Devices).is_some() {
            return Ok(None);
        }
        let Some(directory) = self.unified() else { return Ok(None) };
        let program = program(rules).step(|| format!("cgroup {}: set limits", self.path()))?;
        Ok(Some(DeviceFilter { directory, program }))
    }
}

/// A device rule as numbers; `None` is any.
#[derive(Clone, Copy, Debug)]
struct Rule {
    allow: bool,
    kind: Option<i32>,
    major: Option<i32>,
    minor: Option<i32>,
    access: i32,
}

const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
const MAKE: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;
const ALL: i32 = MAKE | READ | WRITE;

/// The registers: the result, then what is left of the wanted access, the device's type and its numbers.
const RESULT: u64 = 0;
const CONTEXT: u64 = 1;
const WANTED: u64 = 2;
const KIND: u64 = 3;
const MAJOR: u64 = 4;
const MINOR: u64 = 5;

/// The rules from the last to the first: of each wanted kind of access the last rule that speaks of it decides, as with
/// v1; what no rule speaks of is allowed.
fn program(rules: &[LinuxDeviceCgroup]) -> Result<Vec<u64>> {
    let mut all = rules.iter().map(of).collect::<Result<Vec<_>>>()?;
    if all.iter().any(|rule| !rule.allow) {
        all.extend(ALWAYS.iter().filter_map(|text| parse(text)));
    }
    let mut code = vec![
        instruction(LOAD, WANTED, CONTEXT, 0, 0),
        instruction(MOVE, KIND, WANTED, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, WANTED, 0, 0, 16),
        instruction(LOAD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in all.iter().rev() {
        let mut block = Vec::new();
        if rule.allow {
            block.push(instruction(AND, WANTED, 0, 0, !rule.access));
            block.push(instruction(JUMP_NOT_EQUAL, WANTED, 0, 2, 0));
        } else {
            block.push(instruction(MOVE, RESULT, WANTED, 0, 0));
            block.push(instruction(AND, RESULT, 0, 0, rule.access));
            block.push(instruction(JUMP_EQUAL, RESULT, 0, 2, 0));
        }
        block.push(instruction(SET, RESULT, 0, 0, i32::from(rule.allow)));
        block.push(instruction(EXIT, 0, 0, 0, 0));
        for (register, wanted) in [(MINOR, rule.minor), (MAJOR, rule.major), (KIND, rule.kind)] {
            if let Some(wanted) = wanted {
                let behind = i16::try_from(block.len()).unwrap_or(i16::MAX);
                block.insert(0, instruction(JUMP_NOT_EQUAL, register, 0, behind, wanted));
            }
        }
        code.append(&mut block);
    }
    code.push(instruction(SET, RESULT, 0, 0, 1));
    code.push(instruction(EXIT, 0, 0, 0, 0));
    Ok(code)
}

fn of(rule: &LinuxDeviceCgroup) -> Result<Rule> {
    let access = access_of(rule)?;
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => None,
        Some(LinuxDeviceType::B) => Some(BLOCK),
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(CHARACTER),
        Some(LinuxDeviceType::P) => return Err(Error::invalid("device rule: a FIFO is no device")),
    };
    if kind.is_none() {
        // As v1 reads it: nothing after an `a`.
        return Ok(Rule { allow: rule.allow(), kind, major: None, minor: None, access: ALL });
    }
    let number = |field: &str, value: Option<i64>| match value.filter(|value| *value >= 0) {
        None => Ok(None),
        Some(value) => {
            i32::try_from(value).map(Some).map_err(|_| Error::invalid(format!("device rule: {field} {value}")))
        }
    };
    let (major, minor) = (number("major", rule.major())?, number("minor", rule.minor())?);
    Ok(Rule { allow: rule.allow(), kind, major, minor, access: bits(access) })
}

/// `c 1:3 rwm`.
fn parse(text: &str) -> Option<Rule> {
    let mut words = text.split(' ');
    let kind = if words.next()? == "b" { BLOCK } else { CHARACTER };
    let (major, minor) = words.next()?.split_once(':')?;
    let access = bits(words.next()?);
    Some(Rule { allow: true, kind: Some(kind), major: major.parse().ok(), minor: minor.parse().ok(), access })
}

fn bits(access: &str) -> i32 {
    let bit = |letter| match letter {
        'r' => READ,
        'w' => WRITE,
        _ => MAKE,
    };
    access.chars().fold(0, |all, letter| all | bit(letter))
}

/// The kernel's opcodes, of those that are used.
const LOAD: u64 = 0x61;
const MOVE: u64 = 0xbc;
const AND: u64 = 0x54;
const SHIFT_RIGHT: u64 = 0x74;
const SET: u64 = 0xb7;
const JUMP_EQUAL: u64 = 0x16;
const JUMP_NOT_EQUAL: u64 = 0x56;
const EXIT: u64 = 0x95;

/// An instruction as the kernel lays it out, little end first.
fn instruction(code: u64, to: u64, from: u64, offset: i16, number: i32) -> u64 {
    code | to << 8 | from << 12 | u64::from(offset.cast_unsigned()) << 16 | u64::from(number.cast_unsigned()) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;

    /// Runs a program as the kernel would.
    fn run(program: &[u64], kind: u32, major: u32, minor: u32, access: i32) -> bool {
        let context = [access.cast_unsigned() << 16 | kind, major, minor];
        let (mut registers, mut at) = ([0_u32; 6], 0_usize);
        loop {
            let word = program[at];
            at += 1;
            let (to, from) = ((word >> 8 & 0xf) as usize, (word >> 12 & 0xf) as usize);
            let (offset, number) = ((word >> 16 & 0xffff) as usize, (word >> 32) as u32);
            match word & 0xff {
                LOAD => registers[to] = context[offset / 4],
                MOVE => registers[to] = registers[from],
                AND => registers[to] &= number,
                SHIFT_RIGHT => registers[to] >>= number,
                SET => registers[to] = number,
                JUMP_EQUAL if registers[to] == number => at += offset,
                JUMP_NOT_EQUAL if registers[to] != number => at += offset,
                JUMP_EQUAL | JUMP_NOT_EQUAL => {}
                EXIT => return registers[0] == 1,
                other => panic!("opcode {other:#x}"),
            }
        }
    }

    fn rule(
        allow: bool,
        kind: Option<LinuxDeviceType>,
        numbers: Option<(i64, i64)>,
        access: &str,
    ) -> LinuxDeviceCgroup {
        let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).access(access);
        if let Some(kind) = kind {
            rule = rule.typ(kind);
        }
        if let Some((major, minor)) = numbers {
            rule = rule.major(major).minor(minor);
        }
        rule.build().unwrap()
    }

    #[test]
    fn the_last_rule_that_speaks_of_an_access_decides() {
        let tun = Some((10, 200));
        let character = Some(LinuxDeviceType::C);
        let program = program(&[
            rule(false, None, None, "rwm"),
            rule(true, character, tun, "r"),
            rule(true, character, tun, "w"),
            rule(true, Some(LinuxDeviceType::B), Some((8, -1)), "rw"),
            rule(false, Some(LinuxDeviceType::B), Some((8, 1)), "w"),
        ])
        .unwrap();
        for (kind, major, minor, access, allowed) in [
            (2, 10, 200, READ, true),
            // Of two rules one each.
            (2, 10, 200, READ | WRITE, true),
            (2, 10, 201, READ, false),
            (1, 10, 200, READ, false),
            (1, 8, 7, READ | WRITE, true),
            (1, 8, 1, READ, true),
            (1, 8, 1, READ | WRITE, false),
            // What every container may.
            (2, 1, 3, READ | WRITE, true),
            (2, 1, 11, READ, false),
            (2, 1, 11, MAKE, true),
            (2, 136, 5, READ | WRITE, true),
        ] {
            assert_eq!(run(&program, kind, major, minor, access), allowed, "{kind} {major}:{minor} {access}");
        }
    }

    #[test]
    fn what_is_only_allowed_denies_nothing() {
        let program = program(&[rule(true, Some(LinuxDeviceType::C), Some((1, 1)), "r")]).unwrap();
        assert!(run(&program, 2, 9, 9, ALL));
    }
}
