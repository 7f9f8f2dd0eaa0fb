//! Which hosts stand for a registry: `<certs_d>/<host>/hosts.toml`, in the form that containerd reads.

mod address;
mod file;
mod load;
mod one_or_many;

use std::{path::PathBuf, time::Duration};

use http::HeaderMap;
use url::Url;

pub(crate) use self::load::load;
#[cfg(feature = "fuzzing")]
pub(crate) use self::load::parse;

/// One host that stands for a registry, in the order in which they are tried.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// The root of the API, without a slash at its end: `https://mirror.example/v2`.
    pub base: String,
    /// Scheme, host and port: what credentials and headers are tied to.
    pub origin: Origin,
    pub pull: bool,
    pub resolve: bool,
    pub tls: Tls,
    /// Whether any certificate of this machine itself is good: nobody said how it is to be known.
    pub lenient: bool,
    /// The base and the origin by which it is asked in clear, should it turn out not to speak TLS.
    pub clear: Option<(String, Origin)>,
    /// Sent to this origin only.
    pub headers: HeaderMap,
    pub dial_timeout: Option<Duration>,
    /// The registry itself, not a mirror: the one that the caller's credentials belong to.
    pub is_registry: bool,
    /// Whether the registry's own name is put into `?ns=`.
    pub ns: Option<String>,
}

/// Scheme, host and port of a URL.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Origin {
    pub scheme: String,
    pub host: String,
    pub port: u16,
}

/// How a host is told to be the right one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    pub ca: Vec<PathBuf>,
    /// Certificate and key; the key may be in the same file.
    pub client: Vec<(PathBuf, Option<PathBuf>)>,
    pub skip_verify: bool,
}

// === impl Endpoint ===

impl Endpoint {
    /// What errors call this host: without the scheme, which is told only where it is not https.
    pub fn name(&self) -> String {
        self.origin.to_string()
    }

    /// Whether it may turn out not to speak TLS.
    pub fn may_be_clear(&self) -> bool {
        self.clear.is_some()
    }

    /// The same host by plain http, where that may be what it speaks.
    pub fn in_clear(&self) -> Option<Self> {
        let (base, origin) = self.clear.clone()?;
        Some(Self { base, origin, clear: None, ..self.clone() })
    }
}

// === impl Origin ===

impl Origin {
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// Host and port as they are written: without a port that goes without saying.
    pub fn authority(&self) -> String {
        match (self.scheme.as_str(), self.port) {
            ("https", 443) | ("http", 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.scheme.as_str(), self.port) {
            ("https", 443) => f.write_str(&self.host),
            ("https", port) => write!(f, "{}:{port}", self.host),
            ("http", 80) => write!(f, "http://{}", self.host),
            (scheme, port) => write!(f, "{scheme}://{}:{port}", self.host),
        }
    }
}

// === impl Tls ===

impl Tls {
    pub fn is_configured(&self) -> bool {
        self.skip_verify || !self.ca.is_empty() || !self.client.is_empty()
    }
}

/// Whether a host without its port is this machine: `localhost`, 127.0.0.0/8 or `::1`.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
