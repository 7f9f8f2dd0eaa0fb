use oci_spec::runtime::{MemoryPolicyFlagType, MemoryPolicyModeType, Spec};
use wharf_error::{Error, Result};

use super::scheduling::set_of;
use crate::child::{Op, Program};

/// `linux.memoryPolicy`, as set_mempolicy(2) takes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct MemoryPolicy {
    /// For errors: the kernel judges what goes with what.
    name: String,
    mode: u32,
    /// One bit a node; empty for none.
    nodes: Vec<u8>,
}

impl MemoryPolicy {
    /// That of a specification.
    pub(crate) fn of(spec: &Spec) -> Result<Option<Self>> {
        let asked = spec.linux().as_ref().and_then(|linux| linux.memory_policy().as_ref());
        let Some(asked) = asked else { return Ok(None) };
        let mode = match asked.mode() {
            MemoryPolicyModeType::MpolDefault => libc::MPOL_DEFAULT,
            MemoryPolicyModeType::MpolPreferred => libc::MPOL_PREFERRED,
            MemoryPolicyModeType::MpolBind => libc::MPOL_BIND,
            MemoryPolicyModeType::MpolInterleave => libc::MPOL_INTERLEAVE,
            MemoryPolicyModeType::MpolLocal => libc::MPOL_LOCAL,
            MemoryPolicyModeType::MpolPreferredMany => 5,
            MemoryPolicyModeType::MpolWeightedInterleave => 6,
        };
        let flag = |flag: &MemoryPolicyFlagType| match flag {
            MemoryPolicyFlagType::MpolFNumaBalancing => libc::MPOL_F_NUMA_BALANCING,
            MemoryPolicyFlagType::MpolFRelativeNodes => libc::MPOL_F_RELATIVE_NODES,
            MemoryPolicyFlagType::MpolFStaticNodes => libc::MPOL_F_STATIC_NODES,
        };
        let flags = asked.flags().iter().flatten().map(flag).fold(0, |all, one| all | one);
        let list = asked.nodes().as_deref().unwrap_or_default().trim();
        let name = format!("linux.memoryPolicy {} nodes {list:?}", asked.mode());
        let nodes = if list.is_empty() { Vec::new() } else { set_of(list).map_err(|why| wrong(&name, why))? };
        let mode = u32::try_from(mode | flags).map_err(|_| wrong(&name, "its mode is below zero"))?;
        Ok(Some(Self { name, mode, nodes }))
    }

    /// Adds the step that sets it for a process, whose program then keeps it.
    pub(super) fn plan(&self, program: &mut Program) {
        program.step(&self.name, Op::MemoryPolicy { mode: self.mode, nodes: self.nodes.clone() });
    }
}

fn wrong(name: &str, why: &str) -> Error {
    Error::invalid(format!("{name}: {why}"))
}
