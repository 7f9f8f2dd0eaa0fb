use wharf_api::cri::{Container, ContainerFilter, ListContainersRequest, ListContainersResponse};
use wharf_error::Result;

use super::{Runtime, convert};
use crate::filter;

/// Newest first, as people look at them.
pub(super) async fn list_containers(
    runtime: &Runtime,
    request: ListContainersRequest,
) -> Result<ListContainersResponse> {
    let asked = request.filter.unwrap_or_default();
    let mut containers = Vec::new();
    for container in runtime.pods.containers() {
        let listed = listed(container)?;
        if matches(&asked, &listed) {
            containers.push(listed);
        }
    }
    containers.sort_by_key(|container| std::cmp::Reverse(container.created_at));
    Ok(ListContainersResponse { containers })
}

fn listed(container: wharf_pods::Container) -> Result<Container> {
    Ok(Container {
        metadata: Some(convert::container_metadata(&container)),
        image: convert::container_request(&container)?.config.and_then(|config| config.image),
        state: convert::container_state(&container).into(),
        id: container.id,
        pod_sandbox_id: container.pod_id,
        image_ref: container.image_id.clone(),
        image_id: container.image_id,
        created_at: container.created_at,
        labels: container.labels,
        annotations: container.annotations,
    })
}

/// Every field that is set must match.
fn matches(asked: &ContainerFilter, container: &Container) -> bool {
    filter::id(&asked.id, &container.id)
        && filter::id(&asked.pod_sandbox_id, &container.pod_sandbox_id)
        && asked.state.as_ref().is_none_or(|state| state.state == container.state)
        && filter::labels(&asked.label_selector, &container.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_api::cri::{ContainerState, ContainerStateValue};

    #[test]
    fn every_field_that_is_set_must_match() {
        let container = Container {
            id: "abc".into(),
            pod_sandbox_id: "def".into(),
            state: ContainerState::ContainerRunning.into(),
            ..Container::default()
        };
        let state = ContainerStateValue { state: ContainerState::ContainerRunning.into() };
        let all = ContainerFilter {
            id: "a".into(),
            state: Some(state),
            pod_sandbox_id: "de".into(),
            ..ContainerFilter::default()
        };
        assert!(matches(&ContainerFilter::default(), &container) && matches(&all, &container));
        assert!(!matches(&ContainerFilter { pod_sandbox_id: "abc".into(), ..all.clone() }, &container));
        let exited = ContainerStateValue { state: ContainerState::ContainerExited.into() };
        assert!(!matches(&ContainerFilter { state: Some(exited), ..all }, &container));
    }
}
