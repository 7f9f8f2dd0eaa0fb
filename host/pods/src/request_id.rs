use std::future::Future;

use crate::id;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// A fresh request id: 8 hex digits, enough to tell the calls in a log apart.
pub fn new_request_id() -> String {
    id::hex::<4>()
}

/// The id of the request that this task works for; empty outside of one.
pub fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Runs `work` on behalf of request `id`, so that its logs, and the shim's, carry it.
pub async fn with_request_id<F: Future>(id: String, work: F) -> F::Output {
    REQUEST_ID.scope(id, work).await
}
