//! Our own service beside Task: attached clients, the rotation of logs, a look at images before they are mounted.

mod attach;
mod check_mounts;
mod reopen_log;

use std::sync::Arc;

use async_trait::async_trait;
use wharf_shim_api::{
    AttachRequest, AttachResponse, CheckMountsRequest, Done, ReopenLogRequest, Streams, to_status,
    ttrpc::{Result, asynchronous::TtrpcContext},
};

use crate::{operation::run, shim::Shim};

/// The service over one shim's state.
pub struct StreamsService(pub Arc<Shim>);

#[async_trait]
impl Streams for StreamsService {
    /// Not an operation: it may last as long as the container.
    async fn attach(&self, _: &TtrpcContext, request: AttachRequest) -> Result<AttachResponse> {
        // A task of its own: what the end of input means is settled although the daemon has gone.
        let attached = tokio::spawn(attach::attach(self.0.clone(), request)).await;
        let attached = attached.unwrap_or_else(|error| {
            Err(wharf_error::Error::internal(format!("attach: the operation broke off: {error}")))
        });
        attached.map_err(|error| to_status(&error))
    }

    async fn reopen_log(&self, context: &TtrpcContext, request: ReopenLogRequest) -> Result<Done> {
        let (shim, id) = (self.0.clone(), request.container.clone());
        run(&self.0, context, "ReopenLog", id, reopen_log::reopen_log(shim, request)).await
    }

    async fn check_mounts(&self, context: &TtrpcContext, request: CheckMountsRequest) -> Result<Done> {
        run(&self.0, context, "CheckMounts", String::new(), check_mounts::check_mounts(self.0.clone(), request)).await
    }
}
