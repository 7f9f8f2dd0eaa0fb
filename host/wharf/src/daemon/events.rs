//! The ttrpc socket beside the gRPC one: where shims forward their events to.
//!
//! What counts is learned elsewhere, from the shim's own books, so that an event that was lost while no daemon ran
//! changes nothing. Here they are logged, with what no call asks for.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use wharf_shim_api::{
    TaskEvent,
    events::{Events, ForwardRequest, create_events},
    task::Empty,
    ttrpc::{
        self,
        asynchronous::{Server, TtrpcContext, transport::Listener},
    },
};

/// Serves until the server is shut down.
pub(super) async fn serve(listener: UnixListener) -> Result<Server> {
    let listener = Listener::new(UnixListenerStream::new(listener));
    let mut server = Server::new().register_service(create_events(Arc::new(Log))).add_listener(listener);
    server.start().await.context("serve events")?;
    Ok(server)
}

struct Log;

#[async_trait]
impl Events for Log {
    async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        match TaskEvent::from_forward(&request) {
            Ok(Some(event)) => tracing::debug!(container = event.container_id(), ?event, "event"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "an event that cannot be read"),
        }
        Ok(Empty::default())
    }
}
