use std::collections::BTreeMap;

use oci_spec::runtime::LinuxSeccomp;
use wharf_error::Result;

use crate::{
    Architecture, actions,
    architecture::ARM_PRIVATE,
    conditions::{Condition, alternatives},
};

/// What a profile says of the system calls of one architecture.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// By number.
    pub(crate) calls: BTreeMap<u32, Verdict>,
    /// The newest system call that the profile knows.
    pub(crate) newest: u32,
}

/// What is done with a system call.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// This, whatever its arguments.
    Always(u32),
    /// The first whose conditions all hold; the default where none does.
    When(Vec<(Vec<Condition>, u32)>),
}

impl Rules {
    /// Sorts a profile's rules by number. A name that this architecture does not have means nothing, and a rule that
    /// says what the default says is none.
    pub(crate) fn of(profile: &LinuxSeccomp, default: u32, architecture: Architecture) -> Result<Self> {
        let mut rules = Self::default();
        for rule in profile.syscalls().iter().flatten() {
            let value = actions::value(rule.action(), rule.errno_ret(), "errnoRet")?;
            let conditions = alternatives(rule.args().as_deref().unwrap_or_default())?;
            for name in rule.names() {
                let Some(number) = architecture.number(name) else { continue };
                if number < ARM_PRIVATE {
                    rules.newest = rules.newest.max(number);
                }
                if value == default {
                    continue;
                }
                rules.add(number, &conditions, value);
                // What goes through memory cannot be looked at: only a rule without arguments holds there too.
                if let (Some(call), true) = (architecture.socket_call(name), unconditional(&conditions))
                    && let Some(number) = architecture.number("socketcall")
                {
                    rules.add(number, &[vec![Condition::first_is(call)]], value);
                }
            }
        }
        Ok(rules)
    }

    /// A rule without conditions takes the place of all that have some, and the first of those stays.
    fn add(&mut self, number: u32, conditions: &[Vec<Condition>], value: u32) {
        let verdict = self.calls.entry(number).or_insert_with(|| Verdict::When(Vec::new()));
        match verdict {
            Verdict::Always(_) => {}
            Verdict::When(_) if unconditional(conditions) => *verdict = Verdict::Always(value),
            Verdict::When(list) => list.extend(conditions.iter().map(|all| (all.clone(), value))),
        }
    }
}

fn unconditional(conditions: &[Vec<Condition>]) -> bool {
    matches!(conditions, [only] if only.is_empty())
}
