use std::{path::PathBuf, time::Duration};

use crate::{DockerConfig, Proxies};

/// How the client reaches registries.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The folder with `<host>/hosts.toml`, read at each call; need not exist.
    pub certs_d: PathBuf,
    /// The node's own credentials, for requests that bring none for a host.
    pub credentials: Option<DockerConfig>,
    /// Through whom registries are asked.
    pub proxies: Proxies,
    /// How long a connection may take to be made, unless `dial_timeout` of hosts.toml says otherwise.
    pub connect_timeout: Duration,
    /// How long a registry may stay silent: before the head of its answer, and between any two reads of a body.
    pub progress_timeout: Duration,
    /// How often a step is tried again at one host before it counts as failed there: a blob whose connection broke
    /// (counted anew after each byte that arrived), a connection of the last host that was refused or broke off, or its
    /// answer like 429 or 503. Where nothing was heard of a registry yet, no more than twice after a refusal.
    pub retries: u32,
    /// The pause before the first retry; it doubles with each, and is no shorter than the host asks for.
    pub backoff: Duration,
}

// === impl ClientConfig ===

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            certs_d: "/etc/wharf/certs.d".into(),
            credentials: None,
            proxies: Proxies::default(),
            connect_timeout: Duration::from_secs(30),
            progress_timeout: Duration::from_secs(300),
            retries: 4,
            backoff: Duration::from_millis(200),
        }
    }
}
