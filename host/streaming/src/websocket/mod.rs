//! WebSocket with Kubernetes' channels: the first byte of each message says whose the rest is.

mod codec;
mod reader;
mod session;
mod tunnel;
mod writer;

pub(crate) use self::{
    codec::{Said, decoded},
    session::session,
    tunnel::tunnel,
    writer::Writer,
};

use bytes::Bytes;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

use crate::{connection::Channel, wire::Wire};

pub(crate) type Socket = WebSocketStream<Wire>;

/// The longest message that is read, bytes.
const LONGEST: usize = 16 << 20;

/// In protocol v5: the next byte is the channel that the sender closes.
const CLOSE: u8 = 255;

/// Our side of a WebSocket whose handshake is done. `before` was read along with it.
pub(crate) async fn socket(before: Bytes, wire: Wire) -> Socket {
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    WebSocketStream::from_partially_read(wire, before.to_vec(), Role::Server, Some(config)).await
}

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
