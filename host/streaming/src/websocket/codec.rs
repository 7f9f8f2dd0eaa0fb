use std::io;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::Message;

use crate::protocol::Codec;

/// What a message of a client's comes to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Said {
    /// The channel's number and what is for it.
    Bytes(Bytes),
    /// It closes the connection.
    End,
    /// Pings are answered by the library.
    Nothing,
}

/// Reads a message. Some clients send as text what is no text to the protocol: their strings are bytes to us.
///
/// # Errors
/// `InvalidData` for what is no base64 where that is spoken; the client counts as gone then.
pub(crate) fn decoded(message: Message, codec: Codec) -> io::Result<Said> {
    let bytes = match message {
        Message::Binary(bytes) => bytes,
        Message::Text(text) => text.into(),
        Message::Close(_) => return Ok(Said::End),
        _ => return Ok(Said::Nothing),
    };
    let (Codec::Base64, Some((digit, rest))) = (codec, bytes.split_first()) else { return Ok(Said::Bytes(bytes)) };
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let number = digit.checked_sub(b'0').ok_or_else(|| invalid(format!("byte {digit} is no channel")))?;
    let mut whole = vec![number];
    BASE64_STANDARD.decode_vec(rest, &mut whole).map_err(|error| invalid(format!("channel {number}: {error}")))?;
    Ok(Said::Bytes(whole.into()))
}

/// Makes a message.
pub(super) fn encoded(channel: u8, bytes: &[u8], codec: Codec) -> Message {
    match codec {
        Codec::Binary => {
            let mut message = BytesMut::with_capacity(bytes.len() + 1);
            message.put_u8(channel);
            message.put_slice(bytes);
            Message::Binary(message.freeze())
        }
        Codec::Base64 => {
            let mut message = String::from(char::from(b'0'.saturating_add(channel)));
            BASE64_STANDARD.encode_string(bytes, &mut message);
            Message::Text(message.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_text_is_bytes() {
        for codec in [Codec::Binary, Codec::Base64] {
            let message = encoded(4, b"\x00\xff{}", codec);
            assert_eq!(message.is_text(), codec == Codec::Base64);
            assert_eq!(decoded(message, codec).unwrap(), Said::Bytes(Bytes::from_static(b"\x04\x00\xff{}")));
            assert_eq!(decoded(encoded(1, b"", codec), codec).unwrap(), Said::Bytes(Bytes::from_static(b"\x01")));
            assert_eq!(decoded(Message::Close(None), codec).unwrap(), Said::End);
        }
        let text = decoded(Message::Text("\0ls\n".into()), Codec::Binary).unwrap();
        assert_eq!(text, Said::Bytes(Bytes::from_static(b"\0ls\n")));
        for wrong in ["0***", "!QQ==", "0Q"] {
            assert!(decoded(Message::Text(wrong.into()), Codec::Base64).is_err(), "{wrong}");
        }
    }
}
