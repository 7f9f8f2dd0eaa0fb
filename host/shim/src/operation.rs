//! Work is not the call: what a call asks for runs in a task of its own and ends, whoever waits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task;
use wharf_error::{Error, Result};
use wharf_shim_api::{request_id, to_status, ttrpc, ttrpc::asynchronous::TtrpcContext};

use crate::shim::Shim;

/// The slowest operation that is not worth a line of its own.
const SLOW: Duration = Duration::from_secs(1);

tokio::task_local! {
    static REQUEST: String;
}

/// The request on whose behalf this task, or blocking thread, works.
pub fn current_request() -> Option<String> {
    REQUEST.try_with(Clone::clone).ok().filter(|request| !request.is_empty())
}

/// Runs the work of a call to its end, also when the caller goes away, and writes one line about it.
pub async fn run<T: Send + 'static>(
    shim: &Arc<Shim>,
    context: &TtrpcContext,
    rpc: &'static str,
    object: String,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> ttrpc::Result<T> {
    let request = request_id(context).to_owned();
    let busy = shim.reaper.busy();
    let logged = async move {
        let began = Instant::now();
        let result = work.await;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        match &result {
            Err(error) => tracing::warn!(rpc, object, micros, %error, "failed"),
            Ok(_) if began.elapsed() > SLOW => tracing::warn!(rpc, object, micros, "slow"),
            Ok(_) => tracing::info!(rpc, object, micros, "done"),
        }
        drop(busy);
        result
    };
    match tokio::spawn(REQUEST.scope(request, logged)).await {
        Ok(result) => result.map_err(|error| to_status(&error)),
        Err(error) => Err(to_status(&Error::internal(format!("{rpc}: the operation broke off: {error}")))),
    }
}

/// Runs what blocks on a thread that may.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let request = REQUEST.try_with(Clone::clone).unwrap_or_default();
    match task::spawn_blocking(move || REQUEST.sync_scope(request, work)).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal(format!("a blocking step broke off: {error}"))),
    }
}
