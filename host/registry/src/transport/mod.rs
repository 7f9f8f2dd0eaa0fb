//! HTTP below the registry protocol: connections by TLS settings, redirects, deadlines, bounded bodies.

mod body;
mod broken;
mod client_certificates;
mod clients;
mod material;
mod refusal;
mod send;
mod tls;
mod verifiers;

#[cfg(feature = "fuzzing")]
pub(crate) use self::refusal::retry_after;
pub(crate) use self::{
    body::{next_chunk, read_body},
    clients::Clients,
    refusal::refusal,
    send::{Call, Transport},
};
