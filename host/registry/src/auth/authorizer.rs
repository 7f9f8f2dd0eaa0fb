use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue};
use url::Url;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{
    Credentials,
    challenge::Challenge,
    token::{self, TokenRequest},
};
use crate::{fallback::Failure, hosts::Endpoint, transport::Transport};

const MAX_ENTRIES: usize = 1024;

/// Remembers what was shown to which host for which repository and credentials, until it expires.
#[derive(Default)]
pub(crate) struct Authorizer {
    known: Mutex<HashMap<Key, Entry>>,
}

#[derive(Clone, Eq, Hash, PartialEq)]
struct Key {
    base: String,
    repository: String,
    credentials: [u8; 32],
}

struct Entry {
    header: HeaderValue,
    until: Instant,
}

// === impl Authorizer ===

impl Authorizer {
    /// What was good the last time, so that most requests are authorised at once.
    pub fn header(&self, endpoint: &Endpoint, repository: &str, credentials: &Credentials) -> Option<HeaderValue> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get(&Key::new(endpoint, repository, credentials))?;
        (entry.until > Instant::now()).then(|| entry.header.clone())
    }

    /// Answers a 401.
    ///
    /// # Errors
    /// `Unauthenticated` where there is nothing (more) to show, or the token server refuses.
    pub async fn answer(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
        repository: &str,
        credentials: &Credentials,
        headers: &HeaderMap,
    ) -> Result<HeaderValue, Failure> {
        let refuse = |why: &str| Err(Error::new(Kind::Unauthenticated, why).into());
        let (header, life) = match (Challenge::of(headers), credentials) {
            (None, _) => return refuse("401 Unauthorized without a challenge that is understood"),
            (Some(Challenge::Basic), Credentials::Basic { user, password }) => {
                (basic(user, password)?, Duration::from_secs(3600))
            }
            (Some(Challenge::Basic), Credentials::None) => {
                return refuse("401 Unauthorized: it wants a user and a password, and none were given for it");
            }
            (Some(Challenge::Basic), _) => {
                return refuse("401 Unauthorized: it wants a user and a password, and a token was given");
            }
            (Some(Challenge::Bearer { .. }), Credentials::Registry(token)) => {
                (bearer(token)?, Duration::from_secs(3600))
            }
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                let realm = realm_of(&realm, endpoint)?;
                // A registry behind a path of its mirror names another repository here than the reference does.
                let scope = scope.unwrap_or_else(|| format!("repository:{repository}:pull"));
                let request = TokenRequest { realm: &realm, service: service.as_deref(), scope: &scope, credentials };
                let token = token::fetch(transport, &request).await?;
                (bearer(&token.token)?, token.life.mul_f64(0.9))
            }
        };
        self.remember(Key::new(endpoint, repository, credentials), header.clone(), life);
        Ok(header)
    }

    /// Drops what a host did not take.
    pub fn forget(&self, endpoint: &Endpoint, repository: &str, credentials: &Credentials) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&Key::new(endpoint, repository, credentials));
    }

    fn remember(&self, key: Key, header: HeaderValue, life: Duration) {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_ENTRIES {
            known.retain(|_, entry| entry.until > now);
        }
        if known.len() >= MAX_ENTRIES {
            known.clear();
        }
        known.insert(key, Entry { header, until: now + life.min(Duration::from_secs(24 * 3600)) });
    }
}

// === impl Key ===

impl Key {
    fn new(endpoint: &Endpoint, repository: &str, credentials: &Credentials) -> Self {
        Self { base: endpoint.base.clone(), repository: repository.to_owned(), credentials: credentials.fingerprint() }
    }
}

/// The header of basic authentication.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    secret(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn bearer(token: &str) -> Result<HeaderValue> {
    secret(format!("Bearer {token}"))
}

fn secret(text: String) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Error::new(Kind::Unauthenticated, "the credentials have characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The realm of a challenge. A registry on https must not make us send a password in the clear.
fn realm_of(text: &str, endpoint: &Endpoint) -> Result<Url> {
    let bad = |why: &str| Error::new(Kind::Unauthenticated, format!("its realm {:?} {why}", truncated(text)));
    let realm = Url::parse(text).step_as(Kind::Unauthenticated, || bad("is no URL").to_string())?;
    match (realm.scheme(), endpoint.origin.scheme.as_str()) {
        ("https", _) | ("http", "http") => Ok(realm),
        ("http", _) => Err(bad("is plain http, and the registry is not")),
        _ => Err(bad("is neither http nor https")),
    }
}

fn truncated(text: &str) -> String {
    text.chars().take(200).collect()
}
