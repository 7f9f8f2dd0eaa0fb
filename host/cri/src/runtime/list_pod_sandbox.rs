use wharf_api::cri::{ListPodSandboxRequest, ListPodSandboxResponse, PodSandbox, PodSandboxFilter};
use wharf_error::Result;
use wharf_pods::Pod;

use super::{Runtime, convert};
use crate::filter;

/// Newest first, as people look at them.
pub(super) async fn list_pod_sandbox(
    runtime: &Runtime,
    request: ListPodSandboxRequest,
) -> Result<ListPodSandboxResponse> {
    let asked = request.filter.unwrap_or_default();
    let mut items: Vec<_> = runtime.pods.pods().into_iter().map(listed).filter(|pod| matches(&asked, pod)).collect();
    items.sort_by_key(|pod| std::cmp::Reverse(pod.created_at));
    Ok(ListPodSandboxResponse { items })
}

fn listed(pod: Pod) -> PodSandbox {
    PodSandbox {
        metadata: Some(convert::pod_metadata(&pod)),
        state: convert::pod_state(&pod).into(),
        id: pod.id,
        created_at: pod.created_at,
        labels: pod.labels,
        annotations: pod.annotations,
        runtime_handler: pod.runtime_handler,
    }
}

/// Every field that is set must match.
fn matches(asked: &PodSandboxFilter, pod: &PodSandbox) -> bool {
    filter::id(&asked.id, &pod.id)
        && asked.state.as_ref().is_none_or(|state| state.state == pod.state)
        && filter::labels(&asked.label_selector, &pod.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use wharf_api::cri::{PodSandboxState, PodSandboxStateValue};

    #[test]
    fn every_field_that_is_set_must_match() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let pod = PodSandbox {
            id: "abcdef".into(),
            state: PodSandboxState::SandboxNotready.into(),
            labels: labels.clone(),
            ..PodSandbox::default()
        };
        let state = |state: PodSandboxState| Some(PodSandboxStateValue { state: state.into() });
        let ready = state(PodSandboxState::SandboxReady);
        let not_ready = state(PodSandboxState::SandboxNotready);
        let all = PodSandboxFilter { id: "abc".into(), state: not_ready, label_selector: labels };
        assert!(matches(&PodSandboxFilter::default(), &pod) && matches(&all, &pod));
        assert!(!matches(&PodSandboxFilter { state: ready, ..all.clone() }, &pod));
        assert!(!matches(&PodSandboxFilter { id: "b".into(), ..all.clone() }, &pod));
        let other = BTreeMap::from([("app".to_owned(), "db".to_owned())]);
        assert!(!matches(&PodSandboxFilter { label_selector: other, ..all }, &pod));
    }
}
