use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator as Operator};
use wharf_error::{Error, Result};

use crate::code::{Code, Label, Test};

/// Where the first argument is in the kernel's `seccomp_data`, and how large one is.
const ARGUMENTS: u32 = 16;
const ARGUMENT: u32 = 8;
const MOST: usize = 6;

/// What an argument is compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Condition {
    index: u32,
    operator: Operator,
    value: u64,
    /// For `SCMP_CMP_MASKED_EQ`: what the masked argument must be.
    second: u64,
}

impl Condition {
    /// That the first argument is a number.
    pub(crate) fn first_is(number: u32) -> Self {
        Self { index: 0, operator: Operator::ScmpCmpEq, value: number.into(), second: 0 }
    }

    /// Writes the comparison: `then` where it holds.
    pub(crate) fn write(&self, wide: bool, code: &mut Code, then: Label, otherwise: Label) -> Label {
        let (test, negated) = match self.operator {
            Operator::ScmpCmpMaskedEq => return self.write_masked(wide, code, then, otherwise),
            Operator::ScmpCmpEq => (Test::Equal, false),
            Operator::ScmpCmpNe => (Test::Equal, true),
            Operator::ScmpCmpGe => (Test::GreaterOrEqual, false),
            Operator::ScmpCmpLt => (Test::GreaterOrEqual, true),
            Operator::ScmpCmpGt => (Test::Greater, false),
            Operator::ScmpCmpLe => (Test::Greater, true),
        };
        let (then, otherwise) = if negated { (otherwise, then) } else { (then, otherwise) };
        code.branch(test, low(self.value), then, otherwise);
        let lower = code.load(self.offset(false));
        if !wide {
            return lower;
        }
        let equal = code.branch(Test::Equal, high(self.value), lower, otherwise);
        if test != Test::Equal {
            code.branch(Test::Greater, high(self.value), then, equal);
        }
        code.load(self.offset(true))
    }

    fn write_masked(&self, wide: bool, code: &mut Code, then: Label, otherwise: Label) -> Label {
        let (mask, wanted) = (self.value, self.second & self.value);
        code.branch(Test::Equal, low(wanted), then, otherwise);
        code.mask(low(mask));
        let lower = code.load(self.offset(false));
        if !wide {
            return lower;
        }
        code.branch(Test::Equal, high(wanted), lower, otherwise);
        code.mask(high(mask));
        code.load(self.offset(true))
    }

    /// Of one half. Both architectures that we run on put the lower half first.
    fn offset(&self, upper: bool) -> u32 {
        ARGUMENTS + ARGUMENT * self.index + if upper { 4 } else { 0 }
    }
}

/// The alternatives that a rule's arguments stand for, each a list of conditions that must all hold. Where an argument
/// is named twice each condition is an alternative, as libseccomp's users know it: it cannot say "and" of one argument.
pub(crate) fn alternatives(arguments: &[LinuxSeccompArg]) -> Result<Vec<Vec<Condition>>> {
    let mut seen = [0_u32; MOST];
    let mut all = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let Some(count) = seen.get_mut(argument.index()) else {
            let index = argument.index();
            return Err(Error::invalid(format!(
                "linux.seccomp: args.index {index}: a system call has {MOST} arguments"
            )));
        };
        *count += 1;
        all.push(Condition {
            index: u32::try_from(argument.index()).unwrap_or(u32::MAX),
            operator: argument.op(),
            value: argument.value(),
            second: argument.value_two().unwrap_or(0),
        });
    }
    let alike = seen.iter().any(|count| *count > 1);
    Ok(if alike { all.into_iter().map(|one| vec![one]).collect() } else { vec![all] })
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

fn high(value: u64) -> u32 {
    u32::try_from(value >> 32).unwrap_or(0)
}
