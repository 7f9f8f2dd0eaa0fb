use std::time::Duration;

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, LOCATION},
};
use reqwest::Response;
use url::Url;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_steps::step;

use super::broken::Broken;
use crate::{
    fallback::{Doubt, Failure},
    hosts::Origin,
};

const MAX_REDIRECTS: usize = 10;

/// A connection pool with the deadline that every silence on it has.
#[derive(Clone)]
pub(crate) struct Transport {
    pub client: reqwest::Client,
    pub progress: Duration,
}

/// One request.
pub(crate) struct Call {
    pub method: Method,
    pub url: String,
    /// Sent to every host that a redirect leads to.
    pub headers: HeaderMap,
    /// Sent to the first host only.
    pub private: HeaderMap,
    /// Sent to the first host only.
    pub authorization: Option<HeaderValue>,
    pub form: Option<String>,
    /// Whether the answer is checked against a digest: only then may a redirect leave https.
    pub verified: bool,
}

// === impl Call ===

impl Call {
    pub fn get(url: String) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            private: HeaderMap::new(),
            authorization: None,
            form: None,
            verified: false,
        }
    }
}

// === impl Transport ===

impl Transport {
    /// Sends a request and follows its redirects; answers at the head of the final answer, whatever its status.
    /// What is private to the first host is never sent to another one, nor again after a detour.
    ///
    /// # Errors
    /// `Unavailable` where no connection is made or it breaks, `DeadlineExceeded` where no head comes in time.
    pub async fn send(&self, call: Call) -> Result<Response, Failure> {
        let mut url = Url::parse(&call.url).step(|| format!("request {}", call.url))?;
        let home = Origin::of(&url).ok_or_else(|| Error::internal(format!("request {url}: no host")))?;
        let mut at_home = true;
        let mut method = call.method.clone();
        let mut form = call.form.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.client.request(method.clone(), url.clone()).headers(call.headers.clone());
            if at_home {
                request = request.headers(call.private.clone());
                if let Some(value) = &call.authorization {
                    request = request.header(AUTHORIZATION, value);
                }
            }
            if let Some(form) = &form {
                request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone());
            }
            let host = url.host_str().unwrap_or_default().to_owned();
            // Not the query, which may be signed.
            let asked = format!("wait for {host} to answer {method} {}", url.path());
            let sent = step(move || asked.clone(), request.send());
            let response = match tokio::time::timeout(self.progress, sent).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => {
                    let broken = Broken::by(&error);
                    let error = connection_error(&error, if at_home { None } else { Some(&host) });
                    let again = broken.passing.then_some(Duration::ZERO);
                    let no_tls = broken.no_tls && at_home && url.scheme() == "https";
                    return Err(Failure { error, again, refused: broken.refused, no_tls, range: Doubt::No });
                }
                Err(_) => {
                    let text = format!("{host} gave no answer within {:?}", self.progress);
                    return Err(Error::new(Kind::DeadlineExceeded, text).into());
                }
            };
            let Some(next) = redirect_of(&response, &url)? else { return Ok(response) };
            let status = response.status();
            if url.scheme() == "https" && next.scheme() == "http" && !call.verified {
                let text = format!("{host} redirects from https to plain http at {}", host_of(&next));
                return Err(Error::new(Kind::PermissionDenied, text).into());
            }
            if form.is_some() {
                // A form carries a secret; only the server that it was meant for may have it.
                let text = format!("{host} answers {status} to a token request");
                return Err(Error::new(Kind::Unauthenticated, text).into());
            }
            if status == StatusCode::SEE_OTHER {
                method = Method::GET;
                form = None;
            }
            at_home &= Origin::of(&next).as_ref() == Some(&home);
            url = next;
        }
        Err(Error::new(Kind::Unavailable, format!("more than {MAX_REDIRECTS} redirects")).into())
    }
}

fn redirect_of(response: &Response, from: &Url) -> Result<Option<Url>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let bad = || Error::new(Kind::Unavailable, format!("{} redirects to no URL", host_of(from)));
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).ok_or_else(bad)?;
    let next = from.join(location).map_err(|_| bad())?;
    if !matches!(next.scheme(), "http" | "https") || next.host_str().is_none() {
        return Err(bad());
    }
    Ok(Some(next))
}

fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// The HTTP library's own words repeat the URL, which may be signed; its deepest cause says what went wrong.
/// `elsewhere` names the host where it is not the one that was asked.
pub(super) fn connection_error(error: &reqwest::Error, elsewhere: Option<&str>) -> Error {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    let why = match (error.is_connect(), error.is_timeout()) {
        (true, true) => "connect: no answer in time".to_owned(),
        (true, false) => format!("connect: {deepest}"),
        (false, _) => deepest.to_string(),
    };
    Error::new(Kind::Unavailable, elsewhere.map_or_else(|| why.clone(), |host| format!("redirected to {host}: {why}")))
}
