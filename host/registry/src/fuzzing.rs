//! The parsers that are nobody's business but ours, for the fuzz targets.

use std::{path::Path, time::SystemTime};

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

use crate::{auth, hosts, transport};

/// The text of a hosts.toml, for a registry of this name: no panic, and no host without a URL to ask.
pub fn hosts_toml(text: &str, registry: &str) {
    if let Ok(endpoints) = hosts::parse(Path::new("/certs.d/r/hosts.toml"), text, registry) {
        for endpoint in endpoints {
            let url = url::Url::parse(&endpoint.base).expect("an endpoint's base is a URL");
            assert!(matches!(url.scheme(), "http" | "https") && url.password().is_none());
        }
    }
}

/// The bytes of a config.json, asked for a repository.
pub fn docker_config(bytes: &[u8], host: &str, repository: &str) {
    auth::fuzzing::docker_config(bytes, host, repository);
}

/// The values of `WWW-Authenticate` and `Retry-After`.
pub fn headers(text: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(text) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.clone());
        let _ = transport::retry_after(&headers, SystemTime::UNIX_EPOCH);
        auth::fuzzing::challenge(value);
    }
}
