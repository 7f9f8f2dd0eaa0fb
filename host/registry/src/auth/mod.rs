//! Authorisation: which credentials go to which host, and how a host asks for them.

mod authorizer;
mod challenge;
mod credentials;
mod docker;
mod token;

pub use self::docker::DockerConfig;
pub(crate) use self::{authorizer::Authorizer, credentials::Credentials};

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};

    pub(crate) use super::docker::fuzz as docker_config;

    pub(crate) fn challenge(value: HeaderValue) {
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, value);
        let _ = super::challenge::Challenge::of(&headers);
    }
}

/// What a caller may pull with, in the shape of CRI's `AuthConfig`. An empty string means not given.
///
/// It is sent to the registry of the reference, or to `server_address` where that is given, and to no other host.
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct Auth {
    /// User of basic authentication.
    pub username: String,
    /// Password of basic authentication.
    pub password: String,
    /// `user:password` in base64, taken where `username` is empty.
    pub auth: String,
    /// The host that these credentials are for; empty means the registry of the reference.
    pub server_address: String,
    /// A refresh token that is exchanged for a token of the registry.
    pub identity_token: String,
    /// A token that is sent as it is.
    pub registry_token: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("server_address", &self.server_address).finish_non_exhaustive()
    }
}
