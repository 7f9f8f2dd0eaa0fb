use ttrpc::{Code, error::get_rpc_status};
use wharf_error::{Error, Kind};

/// What a service of ours answers: the kind's code and the whole text.
pub fn to_status(error: &Error) -> ttrpc::Error {
    let code = match error.kind() {
        Kind::InvalidArgument => Code::INVALID_ARGUMENT,
        Kind::NotFound => Code::NOT_FOUND,
        Kind::AlreadyExists => Code::ALREADY_EXISTS,
        Kind::FailedPrecondition => Code::FAILED_PRECONDITION,
        Kind::PermissionDenied => Code::PERMISSION_DENIED,
        Kind::Unauthenticated => Code::UNAUTHENTICATED,
        Kind::Unsupported => Code::UNIMPLEMENTED,
        Kind::Exhausted => Code::RESOURCE_EXHAUSTED,
        Kind::Unavailable => Code::UNAVAILABLE,
        Kind::DeadlineExceeded => Code::DEADLINE_EXCEEDED,
        Kind::Cancelled => Code::CANCELLED,
        Kind::DataLoss => Code::DATA_LOSS,
        Kind::Internal => Code::INTERNAL,
        Kind::Unknown => Code::UNKNOWN,
    };
    get_rpc_status(code, error)
}

/// What a failed call means to its caller. `call` names the object and the step, as in
/// `shim of pod web: start container db`.
///
/// A status keeps its kind and text; a broken connection is `Unavailable`, a call that got no answer
/// in time `DeadlineExceeded`.
pub fn from_status(call: &str, error: ttrpc::Error) -> Error {
    let (kind, text) = match error {
        ttrpc::Error::RpcStatus(status) => (kind_of(status.code()), status.message().to_owned()),
        ttrpc::Error::Socket(text) => (Kind::Unavailable, format!("the connection broke: {text}")),
        ttrpc::Error::Nix(errno) => (Kind::Unavailable, format!("the connection broke: {errno}")),
        ttrpc::Error::LocalClosed | ttrpc::Error::RemoteClosed | ttrpc::Error::Eof => {
            (Kind::Unavailable, "the connection was closed".to_owned())
        }
        // The client library has no variant of its own for its deadline.
        ttrpc::Error::Others(text) if text.contains("deadline") => {
            (Kind::DeadlineExceeded, "no answer within the deadline".to_owned())
        }
        // Sending into a connection that has gone comes as this, too.
        ttrpc::Error::Others(text) => (Kind::Unavailable, text),
    };
    Error::new(kind, format!("{call}: {text}"))
}

fn kind_of(code: Code) -> Kind {
    match code {
        Code::INVALID_ARGUMENT | Code::OUT_OF_RANGE => Kind::InvalidArgument,
        Code::NOT_FOUND => Kind::NotFound,
        Code::ALREADY_EXISTS => Kind::AlreadyExists,
        Code::FAILED_PRECONDITION | Code::ABORTED => Kind::FailedPrecondition,
        Code::PERMISSION_DENIED => Kind::PermissionDenied,
        Code::UNAUTHENTICATED => Kind::Unauthenticated,
        Code::UNIMPLEMENTED => Kind::Unsupported,
        Code::RESOURCE_EXHAUSTED => Kind::Exhausted,
        Code::UNAVAILABLE => Kind::Unavailable,
        Code::DEADLINE_EXCEEDED => Kind::DeadlineExceeded,
        Code::CANCELLED => Kind::Cancelled,
        Code::DATA_LOSS => Kind::DataLoss,
        Code::INTERNAL => Kind::Internal,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire_with_its_text() {
        for kind in [
            Kind::InvalidArgument,
            Kind::NotFound,
            Kind::AlreadyExists,
            Kind::FailedPrecondition,
            Kind::PermissionDenied,
            Kind::Unauthenticated,
            Kind::Unsupported,
            Kind::Exhausted,
            Kind::Unavailable,
            Kind::DeadlineExceeded,
            Kind::Cancelled,
            Kind::DataLoss,
            Kind::Internal,
            Kind::Unknown,
        ] {
            let back = from_status("pod web", to_status(&Error::new(kind, "it is so").hint("do this")));
            assert_eq!(back.kind(), kind);
            assert_eq!(back.to_string(), "pod web: it is so (do this)");
        }
    }

    #[test]
    fn a_gone_peer_is_unavailable() {
        for error in [ttrpc::Error::RemoteClosed, ttrpc::Error::Eof, ttrpc::Error::Socket("gone".into())] {
            assert_eq!(from_status("ping", error).kind(), Kind::Unavailable);
        }
    }

    #[tokio::test]
    async fn a_silent_peer_is_a_missed_deadline() {
        use crate::{call, protocol::task::TaskClient};
        let (ours, _theirs) = tokio::net::UnixStream::pair().unwrap();
        let client = TaskClient::new(ttrpc::asynchronous::Client::new(ours.into()));
        let context = call(std::time::Duration::from_millis(10), "");
        let error = client.connect(context, &Default::default()).await.unwrap_err();
        assert_eq!(from_status("connect", error).kind(), Kind::DeadlineExceeded);
    }
}
