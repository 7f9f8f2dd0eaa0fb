use wharf_api::cri::{LinuxContainerResources, UpdatePodSandboxResourcesRequest, UpdatePodSandboxResourcesResponse};
use wharf_error::Result;

use super::Runtime;
use crate::spec;

/// The kubelet has resized the pod, its control group already with it. Nothing of a pod but that group has limits.
pub(super) async fn update_pod_sandbox_resources(
    runtime: &Runtime,
    request: UpdatePodSandboxResourcesRequest,
) -> Result<UpdatePodSandboxResourcesResponse> {
    let pod = runtime.pods.pod(&request.pod_sandbox_id)?;
    let node = runtime.node().await?;
    let whole = sum(&request.resources.unwrap_or_default(), &request.overhead.unwrap_or_default());
    runtime.pods.update_pod(&pod.id, spec::limits(&whole, &node)).await?;
    Ok(UpdatePodSandboxResourcesResponse {})
}

/// The containers' together and what the pod itself takes. A limit that the containers do not have, the pod has not.
fn sum(containers: &LinuxContainerResources, overhead: &LinuxContainerResources) -> LinuxContainerResources {
    let add = |limit: i64, more: i64| if limit > 0 { limit.saturating_add(more.max(0)) } else { limit };
    let mut whole = containers.clone();
    whole.cpu_shares = add(containers.cpu_shares, overhead.cpu_shares);
    whole.memory_limit_in_bytes = add(containers.memory_limit_in_bytes, overhead.memory_limit_in_bytes);
    whole.memory_swap_limit_in_bytes = add(containers.memory_swap_limit_in_bytes, overhead.memory_swap_limit_in_bytes);
    // A quota means something only for its period.
    if overhead.cpu_period == 0 || overhead.cpu_period == containers.cpu_period {
        whole.cpu_quota = add(containers.cpu_quota, overhead.cpu_quota);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_added_to_limits_that_are_there() {
        let resources = |quota, memory| LinuxContainerResources {
            cpu_period: 100_000,
            cpu_quota: quota,
            memory_limit_in_bytes: memory,
            ..LinuxContainerResources::default()
        };
        let whole = sum(&resources(50_000, 0), &resources(10_000, 1 << 20));
        assert_eq!((whole.cpu_quota, whole.memory_limit_in_bytes), (60_000, 0));
        assert_eq!(sum(&resources(-1, 5), &resources(10_000, i64::MAX)).memory_limit_in_bytes, i64::MAX);
        assert_eq!(sum(&resources(-1, 5), &resources(10_000, 0)).cpu_quota, -1);
    }
}
