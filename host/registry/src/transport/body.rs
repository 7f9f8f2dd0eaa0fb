use bytes::{Bytes, BytesMut};
use reqwest::Response;
use serde::Deserialize;
use wharf_error::{Error, Kind, Result};

use super::{Transport, send::connection_error};

/// As much of an error's body as is read to explain it.
const MAX_EXPLANATION: u64 = 8 << 10;
const MAX_MESSAGE: usize = 300;

/// The body that registries send with a failure.
#[derive(Deserialize)]
struct Failures {
    errors: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The next bytes of a body; `None` at its end.
///
/// # Errors
/// `DeadlineExceeded` where none come in time, `Unavailable` where the connection breaks.
pub(crate) async fn next_chunk(transport: &Transport, response: &mut Response) -> Result<Option<Bytes>> {
    match tokio::time::timeout(transport.progress, response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(connection_error(&error, None)),
        Err(_) => {
            let host = response.url().host_str().unwrap_or_default();
            Err(Error::new(Kind::DeadlineExceeded, format!("{host} sent no byte for {:?}", transport.progress)))
        }
    }
}

/// A whole body that is not larger than `limit`.
///
/// # Errors
/// `DataLoss` where it is larger, found before more than the limit is held.
pub(crate) async fn read_body(transport: &Transport, mut response: Response, limit: u64) -> Result<Bytes> {
    let too_large = || Error::new(Kind::DataLoss, format!("the answer is larger than the {limit} bytes allowed"));
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = next_chunk(transport, &mut response).await? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What a failed request's answer says: its status, and the registry's own words where it has any.
pub(super) async fn explain(transport: &Transport, response: Response) -> String {
    let status = response.status();
    let words = match read_body(transport, response, MAX_EXPLANATION).await {
        Ok(body) => serde_json::from_slice::<Failures>(&body).ok().and_then(|f| f.errors.into_iter().next()),
        Err(_) => None,
    };
    match words {
        Some(failure) if !failure.message.is_empty() => format!("{status}: {}", printable(&failure.message)),
        Some(failure) if !failure.code.is_empty() => format!("{status}: {}", printable(&failure.code)),
        _ => status.to_string(),
    }
}

/// Words of a stranger go into our logs: one line, of bounded length.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect()
}
