use std::{future::Future, time::Instant};

use tonic::{Request, Response, Status};
use tracing::Instrument as _;
use wharf_error::{Error, Kind, Result};

use crate::{deadline::patience, to_status};

/// Runs one RPC: with a request id of its own, which the span, the pods' operations and the shim's log carry.
///
/// The work that an RPC begins belongs to an operation; a client that goes away drops only this wait.
pub(crate) async fn serve<Q, A, F>(
    rpc: &'static str,
    request: Request<Q>,
    work: impl FnOnce(Q) -> F,
) -> Result<Response<A>, Status>
where
    F: Future<Output = Result<A>>,
{
    serve_with(rpc, request, work, to_status).await
}

/// As [`serve`], with another way from error to status.
pub(crate) async fn serve_with<Q, A, F>(
    rpc: &'static str,
    request: Request<Q>,
    work: impl FnOnce(Q) -> F,
    status: impl FnOnce(&Error) -> Status,
) -> Result<Response<A>, Status>
where
    F: Future<Output = Result<A>>,
{
    let id = wharf_pods::new_request_id();
    let span = tracing::info_span!("cri", rpc, req = %id);
    let patience = patience(request.metadata());
    let work = wharf_pods::with_request_id(id, work(request.into_inner()));
    async move {
        let begun = Instant::now();
        let answered = match patience {
            None => work.await,
            Some(patience) => tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
                Err(Error::new(Kind::DeadlineExceeded, "the client's deadline has passed; what was begun goes on"))
            }),
        };
        match answered {
            Ok(answer) => {
                tracing::debug!(took = ?begun.elapsed(), "answered");
                Ok(Response::new(answer))
            }
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), took = ?begun.elapsed(), %error, "failed");
                Err(status(&error))
            }
        }
    }
    .instrument(span)
    .await
}

/// The answer to an RPC that is not served.
pub(crate) fn unimplemented(rpc: &str) -> Status {
    Status::unimplemented(format!("{rpc} is not implemented: wharf cannot checkpoint and restore processes yet"))
}
