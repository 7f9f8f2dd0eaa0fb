use http::{HeaderMap, Method, StatusCode};
use reqwest::Response;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    Auth, Client, Reference,
    auth::Credentials,
    fallback::{Doubt, Failure},
    hosts::Endpoint,
    transport::{Call, Transport, refusal},
};

/// What is asked of a repository at one host.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub method: Method,
    /// `manifests/latest`, `blobs/sha256:…`.
    pub object: &'a str,
    pub headers: HeaderMap,
    pub verified: bool,
}

// === impl Client ===

impl Client {
    /// Asks one host, authorised as it wants it; answers with a success, or says why not. One that may speak either is
    /// asked by TLS, and in clear where it does not speak that.
    pub(crate) async fn ask(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        auth: Option<&Auth>,
        ask: Ask<'_>,
    ) -> Result<(Response, Transport), Failure> {
        let Some(clear) = endpoint.in_clear() else { return self.ask_as_it_is(endpoint, reference, auth, ask).await };
        let hosts = &self.inner.clear_hosts;
        if !hosts.has(&endpoint.origin) {
            match self.ask_as_it_is(endpoint, reference, auth, ask.clone()).await {
                // At its own port http may be there where https is not.
                Err(failure) if failure.no_tls || (failure.refused && clear.origin.port != endpoint.origin.port) => {
                    tracing::debug!(host = endpoint.name(), error = %failure.error, "it is asked by plain http");
                }
                answer => return answer,
            }
        }
        let answer = self.ask_as_it_is(&clear, reference, auth, ask).await;
        match &answer {
            Ok(_) => hosts.add(&endpoint.origin),
            // It may have learned TLS meanwhile.
            Err(_) => hosts.remove(&endpoint.origin),
        }
        answer
    }

    async fn ask_as_it_is(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        auth: Option<&Auth>,
        ask: Ask<'_>,
    ) -> Result<(Response, Transport), Failure> {
        let transport = self.transport(endpoint).await?;
        let repository = reference.repository();
        let (credentials, lost) = self.credentials(endpoint, repository, auth).await?;
        let authorizer = &self.inner.authorizer;
        let url = match &endpoint.ns {
            Some(ns) => format!("{}/{repository}/{}?ns={}", endpoint.base, ask.object, encoded(ns)),
            None => format!("{}/{repository}/{}", endpoint.base, ask.object),
        };
        let mut authorization = authorizer.header(endpoint, repository, &credentials);
        let mut answers = 0;
        loop {
            let call = Call {
                method: ask.method.clone(),
                headers: ask.headers.clone(),
                private: endpoint.headers.clone(),
                authorization: authorization.clone(),
                verified: ask.verified,
                ..Call::get(url.clone())
            };
            let response = transport.send(call).await?;
            // Once for what was remembered and has ended, once for what is new.
            let shown = authorization.is_some();
            if response.status() != StatusCode::UNAUTHORIZED || (answers > 0 && shown) {
                let answer = checked(&transport, response).await.map_err(|failure| told(failure, lost.as_ref()));
                return answer.map(|response| (response, transport.clone()));
            }
            authorizer.forget(endpoint, repository, &credentials);
            let header = authorizer.answer(&transport, endpoint, repository, &credentials, response.headers()).await;
            // What the token server does not speak says nothing of this host.
            let header =
                header.map_err(|failure| Failure { refused: false, no_tls: false, range: Doubt::No, ..failure });
            authorization = Some(header.map_err(|failure| told(failure, lost.as_ref()))?);
            answers += 1;
        }
    }

    /// The caller's credentials where they are for this host, else the node's own; and why those cannot be had. Most
    /// images need none: a file that somebody has left half-written does not keep a node from them.
    async fn credentials(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        auth: Option<&Auth>,
    ) -> Result<(Credentials, Option<Error>)> {
        let callers = Credentials::for_endpoint(auth, endpoint)?;
        let Some(node) = self.inner.config.credentials.as_ref().filter(|_| callers == Credentials::None) else {
            return Ok((callers, None));
        };
        match node.credentials(&endpoint.origin.authority(), repository).await {
            Ok(own) => Ok((Credentials::for_endpoint(own.as_ref(), endpoint)?, None)),
            Err(error) => {
                tracing::warn!(host = endpoint.name(), %error, "it is asked without the node's own credentials");
                Ok((Credentials::None, Some(error)))
            }
        }
    }

    async fn transport(&self, endpoint: &Endpoint) -> Result<Transport> {
        let (inner, endpoint) = (self.inner.clone(), endpoint.clone());
        let get = move || inner.clients.get(&endpoint, &inner.config);
        let client = tokio::task::spawn_blocking(get).await.step(|| "set up a connection".into())??;
        Ok(Transport { client, progress: self.config().progress_timeout })
    }
}

/// Whoever is refused hears which credentials were not shown.
fn told(failure: Failure, lost: Option<&Error>) -> Failure {
    let refused = matches!(failure.error.kind(), Kind::Unauthenticated | Kind::PermissionDenied | Kind::NotFound);
    match lost.filter(|_| refused) {
        Some(lost) => {
            let error = failure.error.hint(format!("the node's own credentials could not be had: {lost}"));
            Failure { error, ..failure }
        }
        None => failure,
    }
}

async fn checked(transport: &Transport, response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let kind = match status.as_u16() {
        401 => Kind::Unauthenticated,
        403 => Kind::PermissionDenied,
        404 => Kind::NotFound,
        408 | 429 | 500 | 502 | 503 | 504 => Kind::Unavailable,
        _ => Kind::Unknown,
    };
    let mut failure = refusal(transport, response, kind).await;
    if kind == Kind::Unauthenticated {
        failure.error = failure.error.hint("the image does not exist or may be pulled only with credentials");
    }
    Err(failure)
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
