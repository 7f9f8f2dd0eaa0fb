use std::sync::Once;

use oci_spec::runtime::{LinuxCpu, LinuxDeviceCgroup, LinuxHugepageLimit, LinuxMemory, LinuxResources};
use wharf_api::cri::{HugepageLimit, LinuxContainerResources};
use wharf_error::{Error, Result};

use super::{Input, Node};

/// Zero and empty mean: not set.
pub(super) fn build(input: &Input<'_>, devices: Vec<LinuxDeviceCgroup>) -> LinuxResources {
    let mut resources = asked(input).map(|asked| limits(asked, input.node)).unwrap_or_default();
    resources.set_devices(Some(devices));
    resources
}

/// The limits that a client names; also those that it wants changed.
pub(crate) fn limits(asked: &LinuxContainerResources, node: &Node) -> LinuxResources {
    let mut resources = LinuxResources::default();
    resources.set_devices(None);
    let cpu = cpu(asked);
    resources.set_cpu(Some(cpu.clone()).filter(|cpu| *cpu != LinuxCpu::default()));
    let memory = memory(asked, node.swap);
    resources.set_memory(Some(memory).filter(|memory| *memory != LinuxMemory::default()));
    if !asked.hugepage_limits.is_empty() {
        if node.hugetlb {
            resources.set_hugepage_limits(Some(hugepages(asked)));
        } else {
            // As containerd: the kubelet sends limits of zero for every size on every node.
            tracing::debug!("this node has no hugetlb controller; limits of huge pages are not set");
        }
    }
    if !asked.unified.is_empty() {
        resources.set_unified(Some(asked.unified.clone().into_iter().collect()));
    }
    resources
}

/// What a specification says, in the client's words.
pub(crate) fn shown(resources: &LinuxResources, oom_score_adj: Option<i32>) -> LinuxContainerResources {
    let mut shown =
        LinuxContainerResources { oom_score_adj: oom_score_adj.unwrap_or_default().into(), ..Default::default() };
    if let Some(cpu) = resources.cpu() {
        let number = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok()).unwrap_or_default();
        shown.cpu_period = number(cpu.period());
        shown.cpu_quota = cpu.quota().unwrap_or_default();
        shown.cpu_shares = number(cpu.shares());
        shown.cpuset_cpus = cpu.cpus().clone().unwrap_or_default();
        shown.cpuset_mems = cpu.mems().clone().unwrap_or_default();
    }
    if let Some(memory) = resources.memory() {
        shown.memory_limit_in_bytes = memory.limit().unwrap_or_default();
        shown.memory_swap_limit_in_bytes = memory.swap().unwrap_or_default();
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        shown.hugepage_limits.push(HugepageLimit {
            page_size: limit.page_size().clone(),
            limit: u64::try_from(limit.limit()).unwrap_or_default(),
        });
    }
    shown.unified = resources.unified().clone().unwrap_or_default().into_iter().collect();
    shown
}

/// None where the client says nothing about resources.
///
/// A daemon without CAP_SYS_RESOURCE, nested in a container, cannot lower it below its own: then that is what is
/// asked for, as containerd's `restrict_oom_score_adj` has it.
pub(super) fn oom_score_adj(input: &Input<'_>) -> Result<Option<i32>> {
    let Some(asked) = asked(input) else { return Ok(None) };
    let wanted = asked.oom_score_adj;
    if !(-1000..=1000).contains(&wanted) {
        return Err(Error::invalid(format!("linux.resources.oom_score_adj: {wanted} is not within -1000 and 1000")));
    }
    let set = input.node.oom_floor.map_or(wanted, |floor| wanted.max(floor));
    if set != wanted {
        // The same for every container of this node: once is enough.
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            tracing::warn!(wanted, set, "oom_score_adj cannot be lowered: the daemon lacks CAP_SYS_RESOURCE");
        });
    }
    Ok(i32::try_from(set).ok())
}

fn asked<'a>(input: &Input<'a>) -> Option<&'a LinuxContainerResources> {
    input.config.linux.as_ref()?.resources.as_ref()
}

fn cpu(asked: &LinuxContainerResources) -> LinuxCpu {
    let mut cpu = LinuxCpu::default();
    cpu.set_period(positive(asked.cpu_period))
        .set_quota(Some(asked.cpu_quota).filter(|quota| *quota != 0))
        .set_shares(positive(asked.cpu_shares))
        .set_cpus(Some(asked.cpuset_cpus.clone()).filter(|cpus| !cpus.is_empty()))
        .set_mems(Some(asked.cpuset_mems.clone()).filter(|mems| !mems.is_empty()));
    cpu
}

fn memory(asked: &LinuxContainerResources, swap: bool) -> LinuxMemory {
    let mut memory = LinuxMemory::default();
    let limit = Some(asked.memory_limit_in_bytes).filter(|limit| *limit != 0);
    memory.set_limit(limit);
    if swap {
        // Memory and swap together: equal to the memory's, so that a container does not swap unless asked.
        memory.set_swap(Some(asked.memory_swap_limit_in_bytes).filter(|limit| *limit != 0).or(limit));
    }
    memory
}

fn hugepages(asked: &LinuxContainerResources) -> Vec<LinuxHugepageLimit> {
    let limits = asked.hugepage_limits.iter().map(|asked| {
        let mut limit = LinuxHugepageLimit::default();
        limit.set_page_size(asked.page_size.clone()).set_limit(i64::try_from(asked.limit).unwrap_or(i64::MAX));
        limit
    });
    limits.collect()
}

fn positive(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|value| *value != 0)
}
