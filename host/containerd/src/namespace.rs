use tonic::{Request, Status};

/// The header in which a client of containerd names its namespace.
const HEADER: &str = "containerd-namespace";

/// The request of a client that means our pods' namespace.
///
/// `FailedPrecondition` without one, as containerd has it; `NotFound` for another, in which there is nothing.
pub(crate) fn within<T>(request: Request<T>, ours: &str) -> Result<T, Status> {
    match request.metadata().get(HEADER) {
        None => Err(Status::failed_precondition(format!("namespace is required: the header {HEADER}"))),
        Some(namespace) if namespace == ours => Ok(request.into_inner()),
        Some(namespace) => Err(Status::not_found(format!("namespace {namespace:?}: all that is here is in {ours}"))),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn only_our_namespace_is_answered() {
        let code = |namespace: Option<&'static str>| {
            let mut request = Request::new(7);
            if let Some(namespace) = namespace {
                request.metadata_mut().insert(HEADER, namespace.parse().unwrap());
            }
            within(request, "k8s.io").map_err(|status| status.code())
        };
        assert_eq!(code(Some("k8s.io")), Ok(7));
        assert_eq!(code(Some("moby")), Err(Code::NotFound));
        assert_eq!(code(None), Err(Code::FailedPrecondition));
    }
}
