//! The sub-protocols of remote commands, by name.

use http::HeaderMap;

/// How the streams of a remote command are told apart and ended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Version {
    /// The end is told in plain words, and only when it is a failure.
    V1,
    V2,
    /// A terminal's size can be told.
    V3,
    /// The end is a `metav1.Status`.
    V4,
    /// Over WebSocket: a client can close its input.
    V5,
}

/// The header in which SPDY clients name what they speak, and are answered.
pub(crate) const STREAM_PROTOCOL: &str = "x-stream-protocol-version";

/// The header in which they hear what would have been understood.
pub(crate) const ACCEPTED: &str = "x-accepted-stream-protocol-versions";

/// The protocol of port-forward.
pub(crate) const PORT_FORWARD: &str = "portforward.k8s.io";

/// SPDY's bytes inside of WebSocket messages, for port-forward.
pub(crate) const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// Port-forward with two channels a port.
const PORT_CHANNELS: [&str; 2] = ["v4.channel.k8s.io", "v4.base64.channel.k8s.io"];

const SPDY: [(&str, Version); 4] = [
    ("v4.channel.k8s.io", Version::V4),
    ("v3.channel.k8s.io", Version::V3),
    ("v2.channel.k8s.io", Version::V2),
    ("channel.k8s.io", Version::V1),
];

/// How a WebSocket message carries what is for a channel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Codec {
    /// The channel's number as a byte, and the bytes. A client may send them as text.
    #[default]
    Binary,
    /// The channel's number as a digit, and the bytes in base64, all of it text: for browsers.
    Base64,
}

const WEBSOCKET: [(&str, Version); 5] = [
    ("v5.channel.k8s.io", Version::V5),
    ("v4.channel.k8s.io", Version::V4),
    ("v4.base64.channel.k8s.io", Version::V4),
    ("channel.k8s.io", Version::V1),
    ("base64.channel.k8s.io", Version::V1),
];

/// The first of the client's that we speak, with its name. A client that names none speaks the first version.
pub(crate) fn spdy(headers: &HeaderMap) -> Option<(&'static str, Version)> {
    choose(&SPDY, &named(headers, STREAM_PROTOCOL))
}

pub(crate) fn websocket(headers: &HeaderMap) -> Option<(&'static str, Version)> {
    choose(&WEBSOCKET, &named(headers, "sec-websocket-protocol"))
}

/// Whether a client of port-forward speaks its only version.
pub(crate) fn port_forward(headers: &HeaderMap) -> bool {
    let named = named(headers, STREAM_PROTOCOL);
    named.is_empty() || named.iter().any(|name| name == PORT_FORWARD)
}

/// What a client of port-forward over WebSocket speaks that we do: the tunnel, or channels. One that names nothing
/// speaks channels.
pub(crate) fn port_forward_websocket(headers: &HeaderMap) -> Option<&'static str> {
    let named = named(headers, "sec-websocket-protocol");
    if named.is_empty() {
        return Some("");
    }
    let known = || PORT_CHANNELS.into_iter().chain([TUNNEL]);
    named.iter().find_map(|name| known().find(|known| known == name))
}

/// By the name of the protocol that was chosen.
pub(crate) fn codec(name: &str) -> Codec {
    if name.contains("base64.") { Codec::Base64 } else { Codec::Binary }
}

/// Every name that is understood, for a client that speaks none.
pub(crate) fn understood() -> String {
    SPDY.map(|(name, _)| name).join(", ")
}

fn choose(known: &[(&'static str, Version)], named: &[String]) -> Option<(&'static str, Version)> {
    if named.is_empty() {
        return Some(("", Version::V1));
    }
    named.iter().find_map(|name| known.iter().find(|(known, _)| known == name).copied())
}

fn named(headers: &HeaderMap, header: &str) -> Vec<String> {
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_order_decides() {
        let mut headers = HeaderMap::new();
        assert_eq!(spdy(&headers), Some(("", Version::V1)));
        for name in ["v9.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io"] {
            headers.append(STREAM_PROTOCOL, name.parse().unwrap());
        }
        assert_eq!(spdy(&headers), Some(("v4.channel.k8s.io", Version::V4)));
        headers.insert("sec-websocket-protocol", "base64.x, v5.channel.k8s.io, v4.channel.k8s.io".parse().unwrap());
        assert_eq!(websocket(&headers), Some(("v5.channel.k8s.io", Version::V5)));
        headers.insert(STREAM_PROTOCOL, "other".parse().unwrap());
        assert_eq!(spdy(&headers), None);
        assert!(!port_forward(&headers));
        assert_eq!(port_forward_websocket(&headers), Some("v4.channel.k8s.io"));
        headers.insert("sec-websocket-protocol", "x, SPDY/3.1+portforward.k8s.io".parse().unwrap());
        assert_eq!(port_forward_websocket(&headers), Some(TUNNEL));
        headers.insert("sec-websocket-protocol", "v4.base64.channel.k8s.io".parse().unwrap());
        assert_eq!(port_forward_websocket(&headers), Some("v4.base64.channel.k8s.io"));
        assert_eq!(websocket(&headers), Some(("v4.base64.channel.k8s.io", Version::V4)));
        headers.insert("sec-websocket-protocol", "base64.channel.k8s.io".parse().unwrap());
        assert_eq!(port_forward_websocket(&headers), None);
        assert_eq!(websocket(&headers), Some(("base64.channel.k8s.io", Version::V1)));
    }
}
