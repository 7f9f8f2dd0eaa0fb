//! OCI's resources as files of either version, one kind of resource a file.

mod cpu;
mod device_filter;
mod devices;
mod hugetlb;
mod io;
mod memory;
mod network;
mod pids;
mod rdma;
mod unified;

pub use self::{cpu::weight_of, device_filter::DeviceFilter};

use oci_spec::runtime::LinuxResources;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{Cgroup, Controller, cgroup::Slot};

impl Cgroup {
    /// Sets the limits that are present and leaves the others as they are; also for a change of a
    /// running container.
    ///
    /// A limit on memory, processors or processes that this node cannot enforce is an error
    /// (`Unsupported`), one on anything else a warning in the result: text for a log or an event. Device rules of v2 are
    /// not set here: [`Cgroup::device_filter`] makes the program that does it.
    pub fn apply(&self, resources: &LinuxResources) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let mut set = || -> Result<()> {
            if let Some(memory) = resources.memory() {
                memory::apply(self, memory, &mut warnings)?;
            }
            if let Some(cpu) = resources.cpu() {
                cpu::apply(self, cpu, &mut warnings)?;
            }
            if let Some(pids) = resources.pids() {
                pids::apply(self, pids)?;
            }
            if let Some(block_io) = resources.block_io() {
                io::apply(self, block_io, &mut warnings)?;
            }
            if let Some(limits) = resources.hugepage_limits() {
                hugetlb::apply(self, limits, &mut warnings)?;
            }
            if let Some(network) = resources.network() {
                network::apply(self, network, &mut warnings)?;
            }
            if let Some(limits) = resources.rdma() {
                rdma::apply(self, limits, &mut warnings)?;
            }
            if let Some(rules) = resources.devices() {
                devices::apply(self, rules, &mut warnings)?;
            }
            if let Some(unified) = resources.unified() {
                unified::apply(self, unified, &mut warnings)?;
            }
            Ok(())
        };
        set().step(|| format!("cgroup {}: set limits", self.path()))?;
        Ok(warnings)
    }
}

/// The place of a controller without which the request must fail.
fn required(cgroup: &Cgroup, controller: Controller) -> Result<Slot> {
    cgroup.slot(controller).ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("the {controller} controller is not mounted"))
            .hint(format!("mount the {controller} controller on the node, or take the limit away"))
    })
}

/// The place of a controller whose limits are worth a warning only.
fn optional(cgroup: &Cgroup, controller: Controller, warnings: &mut Vec<String>) -> Option<Slot> {
    let slot = cgroup.slot(controller);
    if slot.is_none() {
        warnings.push(format!("{controller} limits are not set: the {controller} controller is not mounted"));
    }
    slot
}

/// Writes a control that an older or smaller kernel may lack; its absence is a warning.
fn write_if_there(slot: &Slot, name: &str, value: &str, warnings: &mut Vec<String>) -> Result<()> {
    if slot.has(name) {
        return slot.write(name, value);
    }
    warnings.push(format!("`{value}` is not set: the kernel has no {name}"));
    Ok(())
}

/// -1 (and anything below) is v2's `max`.
fn or_max(value: i64) -> String {
    if value < 0 { "max".into() } else { value.to_string() }
}
