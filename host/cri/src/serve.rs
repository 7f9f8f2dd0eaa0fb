use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use tonic::{Request, Response, Status};
use tracing::Instrument as _;
use wharf_error::{Error, Kind, Result};
use wharf_steps::Steps;

use crate::{deadline::patience, to_status};

/// Runs one RPC: with a request id of its own, which the span, the pods' operations and the shim's log carry.
///
/// The work that an RPC begins belongs to an operation; a client that goes away drops only this wait. One whose deadline
/// passes is told which step its call is at.
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
    let steps = Steps::new("");
    let work = wharf_pods::with_request_id(id, work(request.into_inner()));
    let account = steps.clone();
    let work = async move { account.scope(work).await };
    async move {
        let begun = Instant::now();
        let answered = match patience {
            None => work.await,
            Some(patience) => {
                // Not dropped before it is asked what it is at.
                let mut work = pin!(work);
                let answered = tokio::time::timeout(patience, &mut work).await;
                answered.unwrap_or_else(|_| Err(late(rpc, patience, &steps)))
            }
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

fn late(rpc: &str, patience: Duration, steps: &Steps) -> Error {
    let at = Some(steps.now()).filter(|at| !at.is_empty()).unwrap_or_else(|| rpc.to_owned());
    let what = format!("{at}; not done within the client's deadline of {patience:.1?}, it goes on");
    Error::new(Kind::DeadlineExceeded, what)
        .hint("the same call again joins it, and succeeds once what holds it up is gone")
}

/// The answer to an RPC that is not served.
pub(crate) fn unimplemented(rpc: &str) -> Status {
    Status::unimplemented(format!("{rpc} is not implemented: wharf cannot checkpoint and restore processes yet"))
}
