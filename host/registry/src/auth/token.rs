use std::time::Duration;

use http::Method;
use serde::Deserialize;
use url::{Url, form_urlencoded};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::Credentials;
use crate::{
    fallback::Failure,
    transport::{Call, Transport, read_body, refusal},
};

/// No real token answer comes near; a bound on what a realm can make us hold.
const MAX_ANSWER: u64 = 1 << 20;
/// How long a token is good where its server does not say: what the specification has.
const DEFAULT_LIFE: u64 = 60;
const CLIENT_ID: &str = "wharf";

/// Where and for what a token is asked.
pub(super) struct TokenRequest<'a> {
    pub realm: &'a Url,
    pub service: Option<&'a str>,
    pub scope: &'a str,
    pub credentials: &'a Credentials,
}

/// A token and how long it may be used.
pub(super) struct Token {
    pub token: String,
    pub life: Duration,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    expires_in: Option<i64>,
}

/// Asks a token server: GET, with basic authentication where there are credentials, or the OAuth2 form for an
/// identity token. Redirects are followed without credentials.
pub(super) async fn fetch(transport: &Transport, request: &TokenRequest<'_>) -> Result<Token, Failure> {
    let step = || format!("get a token from {}", request.realm.host_str().unwrap_or("its realm"));
    let answer = ask(transport, request).await.map_err(|failure| failure.step(step))?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    if token.is_empty() {
        let error = Err(Error::new(Kind::Unauthenticated, "the answer has no token"));
        return Ok(error.step(step)?);
    }
    // Servers that say zero, or less, mean no answer at all.
    let life = answer.expires_in.and_then(|life| u64::try_from(life).ok()).filter(|life| *life > 0);
    let life = life.unwrap_or(DEFAULT_LIFE);
    Ok(Token { token, life: Duration::from_secs(life) })
}

async fn ask(transport: &Transport, request: &TokenRequest<'_>) -> Result<Answer, Failure> {
    let mut url = request.realm.clone();
    let mut call = Call { verified: false, ..Call::get(String::new()) };
    match request.credentials {
        Credentials::Identity(token) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token");
            form.append_pair("refresh_token", token);
            form.append_pair("client_id", CLIENT_ID);
            form.append_pair("scope", request.scope);
            form.extend_pairs(request.service.map(|service| ("service", service)));
            call.method = Method::POST;
            call.form = Some(form.finish());
        }
        other => {
            let mut query = url.query_pairs_mut();
            query.append_pair("scope", request.scope);
            query.extend_pairs(request.service.map(|service| ("service", service)));
            if let Credentials::Basic { user, password } = other {
                query.append_pair("account", user);
                call.authorization = Some(super::authorizer::basic(user, password)?);
            }
        }
    }
    call.url = url.into();
    let response = transport.send(call).await?;
    let kind = match response.status().as_u16() {
        200 => None,
        400 | 401 | 403 => Some(Kind::Unauthenticated),
        _ => Some(Kind::Unavailable),
    };
    if let Some(kind) = kind {
        return Err(refusal(transport, response, kind).await);
    }
    let body = read_body(transport, response, MAX_ANSWER).await?;
    // The text of a parse error could quote the token.
    let answer = serde_json::from_slice(&body);
    Ok(answer.map_err(|_| Error::new(Kind::Unavailable, "the answer is no token document"))?)
}
