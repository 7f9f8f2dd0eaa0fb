use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::redirect;
use wharf_error::{Kind, Result, ResultExt as _};

use super::{material::Material, tls};
use crate::{ClientConfig, Proxies, hosts::Endpoint};

/// Connection pools, one for each way of reaching hosts, all by the proxies of one configuration. A changed certificate file is another way.
#[derive(Default)]
pub(crate) struct Clients {
    pools: Mutex<HashMap<[u8; 32], reqwest::Client>>,
}

/// A server of plain http may wait for the rest of what it takes for a request, and say nothing to who speaks TLS: so long
/// he waits before he asks in clear.
const HANDSHAKE: Duration = Duration::from_secs(10);
const MAX_POOLS: usize = 64;

// === impl Clients ===

impl Clients {
    /// The pool for an endpoint. Blocking: reads its certificate files, and the system's at the first use.
    pub fn get(&self, endpoint: &Endpoint, config: &ClientConfig) -> Result<reqwest::Client> {
        let material = Material::read(&endpoint.tls)?;
        let mut dial = endpoint.dial_timeout.unwrap_or(config.connect_timeout);
        if endpoint.may_be_clear() {
            dial = dial.min(HANDSHAKE);
        }
        let key = material.key([endpoint.tls.skip_verify, endpoint.lenient], dial);
        if let Some(client) = self.pools.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(client.clone());
        }
        let client = build(endpoint, &material, dial, &config.proxies)
            .step_as(Kind::FailedPrecondition, || format!("{}: set up TLS", endpoint.name()))?;
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() >= MAX_POOLS {
            pools.clear();
        }
        Ok(pools.entry(key).or_insert(client).clone())
    }
}

fn build(endpoint: &Endpoint, material: &Material, dial: Duration, proxies: &Proxies) -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        // Layers come over one connection each: they share no congestion window and no flow control.
        .http1_only()
        .connect_timeout(dial)
        .tls_backend_preconfigured(tls::config(endpoint, material)?);
    proxies.apply(builder)?.build().step(|| "build the client".into())
}
