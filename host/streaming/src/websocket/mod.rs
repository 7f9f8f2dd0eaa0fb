//! WebSocket with Kubernetes' channels: the first byte of each binary message says whose the rest is.

mod reader;
mod session;
mod writer;

pub(crate) use self::{session::session, writer::Writer};

use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;

use crate::connection::Channel;

type Socket = WebSocketStream<TcpStream>;

/// The longest message that is read, bytes.
const LONGEST: usize = 16 << 20;

/// In protocol v5: the next byte is the channel that the sender closes.
const CLOSE: u8 = 255;

fn number(channel: Channel) -> u8 {
    match channel {
        Channel::Stdin => 0,
        Channel::Stdout => 1,
        Channel::Stderr => 2,
        Channel::Error => 3,
        Channel::Resize => 4,
    }
}

fn channel(number: u8) -> Option<Channel> {
    match number {
        0 => Some(Channel::Stdin),
        1 => Some(Channel::Stdout),
        2 => Some(Channel::Stderr),
        3 => Some(Channel::Error),
        4 => Some(Channel::Resize),
        _ => None,
    }
}
