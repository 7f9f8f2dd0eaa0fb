//! HTTP below the registry protocol: connections by TLS settings, redirects, deadlines, bounded bodies.

mod body;
mod clients;
mod send;

pub(crate) use self::{
    body::{explain, next_chunk, read_body},
    clients::Clients,
    send::{Call, Transport},
};
