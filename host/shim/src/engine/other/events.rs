use async_trait::async_trait;
use wharf_shim_api::{
    events::{Events, ForwardRequest},
    task::Empty,
    ttrpc::{Result, asynchronous::TtrpcContext},
};

/// Takes the events of a shim that works for us. What they say is heard from its answers, and told in our own.
pub struct OthersEvents;

#[async_trait]
impl Events for OthersEvents {
    async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> Result<Empty> {
        tracing::debug!(topic = request.envelope.topic, "another shim's event");
        Ok(Empty::default())
    }
}
