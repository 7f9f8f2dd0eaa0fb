//! Ports of a pod over one connection of a client.

mod copy;
mod spdy;
mod websocket;

pub(crate) use self::{
    spdy::serve as serve_spdy,
    websocket::{ports, serve as serve_websocket},
};

use wharf_error::{Error, Kind, Result};

use crate::PortForwardRequest;

/// The port that a client names, where it may.
fn port(text: &str, request: &PortForwardRequest) -> Result<u16> {
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| Error::invalid(format!("port-forward: {text:?} is not a port")))?;
    if request.ports.is_empty() || request.ports.contains(&port) {
        return Ok(port);
    }
    Err(Error::new(Kind::PermissionDenied, format!("port-forward: port {port} was not asked for")))
}
