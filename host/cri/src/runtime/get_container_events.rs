use futures::{Stream, stream};
use tonic::Status;
use wharf_api::cri::{ContainerEventResponse, ContainerEventType, GetEventsRequest};
use wharf_error::Result;
use wharf_pods::{Event, EventKind};

use super::{Runtime, container_status, pod_sandbox_status};
use crate::to_status;

/// What happens from now on, in order: to containers, and to pods under the pod's own id. Each event shows the pod and
/// its containers as they were right after.
///
/// The stream ends with `ResourceExhausted` for a client that falls behind, and without an error with the daemon.
pub(super) async fn get_container_events(
    runtime: &Runtime,
    _: GetEventsRequest,
) -> Result<impl Stream<Item = Result<ContainerEventResponse, Status>> + Send + 'static> {
    let state = (runtime.clone(), runtime.pods.events());
    Ok(stream::unfold(state, |(runtime, mut events)| async move {
        let answer = match events.next().await? {
            Ok(event) => response(&runtime, &event).await,
            Err(lost) => Err(lost),
        };
        Some((answer.map_err(|error| to_status(&error)), (runtime, events)))
    }))
}

async fn response(runtime: &Runtime, event: &Event) -> Result<ContainerEventResponse> {
    let kind = match event.kind {
        EventKind::Created => ContainerEventType::ContainerCreatedEvent,
        EventKind::Started => ContainerEventType::ContainerStartedEvent,
        EventKind::Stopped => ContainerEventType::ContainerStoppedEvent,
        EventKind::Deleted => ContainerEventType::ContainerDeletedEvent,
    };
    Ok(ContainerEventResponse {
        container_id: event.id.clone(),
        container_event_type: kind.into(),
        created_at: event.at,
        pod_sandbox_status: Some(pod_sandbox_status::of(runtime, &event.pod)?),
        containers_statuses: container_status::all(runtime, event.containers.iter().cloned()).await?,
    })
}
