use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use url::Url;
use wharf_error::{Error, Result};

use crate::{Auth, hosts::Endpoint};

/// The user name that stands for "the password is an identity token".
const TOKEN_USER: &str = "<token>";

/// What one host may be shown.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Credentials {
    None,
    Basic { user: String, password: String },
    Identity(String),
    Registry(String),
}

// === impl Credentials ===

impl Credentials {
    /// What of `auth` belongs to this endpoint: nothing, where it is another registry's.
    pub fn for_endpoint(auth: Option<&Auth>, endpoint: &Endpoint) -> Result<Self> {
        let Some(auth) = auth else { return Ok(Self::None) };
        let belongs = match auth.server_address.trim() {
            "" => endpoint.is_registry,
            address => is_address_of(address, endpoint),
        };
        if belongs { Self::read(auth) } else { Ok(Self::None) }
    }

    /// A short name of these credentials that tells nothing of them: what caches are keyed by.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let parts: [&str; 3] = match self {
            Self::None => ["none", "", ""],
            Self::Basic { user, password } => ["basic", user, password],
            Self::Identity(token) => ["identity", token, ""],
            Self::Registry(token) => ["registry", token, ""],
        };
        for part in parts {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    fn read(auth: &Auth) -> Result<Self> {
        let basic = |user: &str, password: &str| match user {
            TOKEN_USER => Self::Identity(password.to_owned()),
            _ => Self::Basic { user: user.to_owned(), password: password.to_owned() },
        };
        if !auth.registry_token.is_empty() {
            return Ok(Self::Registry(auth.registry_token.clone()));
        }
        if !auth.identity_token.is_empty() {
            return Ok(Self::Identity(auth.identity_token.clone()));
        }
        if !auth.username.is_empty() {
            return Ok(basic(&auth.username, &auth.password));
        }
        if auth.auth.is_empty() {
            return Ok(Self::None);
        }
        // The text of the error must not carry any part of the secret.
        let bad = || Error::invalid("image credentials: auth is not user:password in base64");
        let text = STANDARD.decode(auth.auth.trim()).ok().and_then(|b| String::from_utf8(b).ok()).ok_or_else(bad)?;
        let (user, password) = text.split_once(':').ok_or_else(bad)?;
        Ok(basic(user, password.trim_matches('\0')))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Identity(_) => "identity token",
            Self::Registry(_) => "registry token",
        })
    }
}

/// `server_address` comes as a host or as a URL; all of Docker Hub's names are one.
fn is_address_of(address: &str, endpoint: &Endpoint) -> bool {
    let with_scheme =
        if address.contains("://") { address.to_owned() } else { format!("{}://{address}", endpoint.origin.scheme) };
    let Ok(url) = Url::parse(&with_scheme) else { return false };
    let Some(host) = url.host_str() else { return false };
    let hub = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    if hub(host) && hub(&endpoint.origin.host) && url.port().is_none() {
        return endpoint.origin.scheme == "https" && endpoint.origin.port == 443;
    }
    host == endpoint.origin.host && url.port_or_known_default() == Some(endpoint.origin.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::load;

    fn endpoint(registry: &str) -> Endpoint {
        load(std::path::Path::new("/does/not/exist"), registry).unwrap().remove(0)
    }

    fn basic(server: &str) -> Auth {
        Auth { username: "u".into(), password: "p".into(), server_address: server.into(), ..Auth::default() }
    }

    #[test]
    fn credentials_go_only_where_they_belong() {
        let given = |auth: &Auth, endpoint: &Endpoint| {
            Credentials::for_endpoint(Some(auth), endpoint).unwrap() != Credentials::None
        };
        let hub = endpoint("docker.io");
        for server in ["", "docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"] {
            assert!(given(&basic(server), &hub), "{server}");
        }
        for server in ["quay.io", "https://docker.io.evil.example", "docker.io:5000", "not a host"] {
            assert!(!given(&basic(server), &hub), "{server}");
        }
        let mirror = Endpoint { is_registry: false, ..endpoint("mirror.example:5000") };
        assert!(!given(&basic(""), &mirror), "a mirror is not the registry");
        assert!(given(&basic("mirror.example:5000"), &mirror));
        assert!(!given(&basic("mirror.example"), &mirror), "another port is another host");
        let plain = Endpoint { origin: crate::hosts::Origin { scheme: "http".into(), ..hub.origin.clone() }, ..hub };
        assert!(!given(&basic("docker.io"), &plain), "never in the clear");
    }

    #[test]
    fn all_shapes_of_auth_config_are_read() {
        let read = |auth: Auth| Credentials::read(&auth).unwrap();
        let expected = Credentials::Basic { user: "u".into(), password: "p:q".into() };
        assert_eq!(read(Auth { auth: STANDARD.encode("u:p:q"), ..Auth::default() }), expected);
        assert_eq!(read(Auth { auth: STANDARD.encode("u:p:q\0\0"), ..Auth::default() }), expected);
        assert_eq!(read(Auth { identity_token: "t".into(), ..basic("") }), Credentials::Identity("t".into()));
        assert_eq!(read(Auth { registry_token: "t".into(), ..basic("") }), Credentials::Registry("t".into()));
        assert_eq!(read(Auth { username: "<token>".into(), ..basic("") }), Credentials::Identity("p".into()));
        assert_eq!(read(Auth::default()), Credentials::None);
        let error = Credentials::read(&Auth { auth: "c2VjcmV0".into(), ..Auth::default() }).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
