use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, Once, PoisonError},
    time::Duration,
};

use reqwest::{Certificate, Identity, redirect};
use sha2::{Digest as _, Sha256};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::hosts::Endpoint;

/// Connection pools, one for each way of reaching hosts. A changed certificate file is another way.
#[derive(Default)]
pub(crate) struct Clients {
    pools: Mutex<HashMap<[u8; 32], reqwest::Client>>,
}

/// The contents of the files that TLS settings name.
struct Material {
    ca: Vec<Vec<u8>>,
    client: Option<Vec<u8>>,
}

const MAX_POOLS: usize = 64;
/// No certificate file comes near; a bound on what a wrong path can make us read.
const MAX_FILE: u64 = 4 << 20;

// === impl Clients ===

impl Clients {
    /// The pool for an endpoint. Blocking: reads its certificate files, and the system's at the first use.
    pub fn get(&self, endpoint: &Endpoint, connect_timeout: Duration) -> Result<reqwest::Client> {
        let material = Material::read(endpoint)?;
        let dial = endpoint.dial_timeout.unwrap_or(connect_timeout);
        let loopback = endpoint.origin.is_loopback();
        let key = material.key(endpoint.tls.skip_verify, dial, loopback);
        if let Some(client) = self.pools.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(client.clone());
        }
        let client = build(endpoint, &material, dial, loopback)
            .step_as(Kind::FailedPrecondition, || format!("{}: set up TLS", endpoint.name()))?;
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() >= MAX_POOLS {
            pools.clear();
        }
        Ok(pools.entry(key).or_insert(client).clone())
    }
}

fn build(endpoint: &Endpoint, material: &Material, dial: Duration, loopback: bool) -> Result<reqwest::Client> {
    static PROVIDER: Once = Once::new();
    // One cryptography for the process; where something else has installed one already, it is as good.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let mut authorities = Vec::new();
    for (bundle, path) in material.ca.iter().zip(&endpoint.tls.ca) {
        let step = || format!("read ca {}", path.display());
        let certificates = Certificate::from_pem_bundle(bundle).step(step)?;
        if certificates.is_empty() {
            return Err(Error::new(Kind::FailedPrecondition, "there is no certificate in it")).step(step);
        }
        authorities.extend(certificates);
    }
    let builder = || -> Result<reqwest::ClientBuilder> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            // Layers come over one connection each: they share no congestion window and no flow control.
            .http1_only()
            .connect_timeout(dial)
            .tls_danger_accept_invalid_certs(endpoint.tls.skip_verify);
        if loopback {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &material.client {
            builder = builder.identity(Identity::from_pem(pem).step(|| "read client".into())?);
        }
        Ok(builder)
    };
    match builder()?.tls_certs_merge(authorities.clone()).build() {
        Ok(client) => Ok(client),
        // A machine without certificate authorities can still speak plain http.
        Err(_) if endpoint.origin.scheme == "http" => {
            builder()?.tls_certs_only(authorities).build().step(|| "build the client".into())
        }
        Err(error) => Err(error).step(|| "build the client".into()),
    }
}

// === impl Material ===

impl Material {
    fn read(endpoint: &Endpoint) -> Result<Self> {
        let ca = endpoint.tls.ca.iter().map(|path| read_file(path)).collect::<Result<_>>()?;
        let client = match endpoint.tls.client.as_slice() {
            [] => None,
            [(certificate, key)] => {
                let mut pem = read_file(certificate)?;
                if let Some(key) = key {
                    pem.push(b'\n');
                    pem.extend(read_file(key)?);
                }
                Some(pem)
            }
            _ => {
                let text = format!("{}: more than one client certificate is not supported", endpoint.name());
                return Err(Error::new(Kind::Unsupported, text));
            }
        };
        Ok(Self { ca, client })
    }

    fn key(&self, skip_verify: bool, dial: Duration, loopback: bool) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(bytes.len().to_le_bytes());
            hasher.update(bytes);
        };
        add(&[u8::from(skip_verify), u8::from(loopback), u8::from(self.client.is_some())]);
        add(&dial.as_nanos().to_le_bytes());
        add(self.client.as_deref().unwrap_or_default());
        for ca in &self.ca {
            add(ca);
        }
        hasher.finalize().into()
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let step = || format!("{}: read a certificate file of hosts.toml", path.display());
    let file = std::fs::File::open(path).step_as(Kind::FailedPrecondition, step)?;
    file.take(MAX_FILE).read_to_end(&mut bytes).step_as(Kind::FailedPrecondition, step)?;
    Ok(bytes)
}
