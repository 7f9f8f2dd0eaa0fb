use std::io;

use super::{Reader, Writer};

/// What every message begins with.
pub(super) const FIXED: usize = 16;
/// systemd's longest answers are a thousandth of it; the specification allows eight times as much.
const LONGEST: usize = 16 << 20;
const VERSION: u8 = 1;
/// This machine's order of bytes.
const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A method call.
pub(crate) struct Call<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
    /// Of the body.
    pub(crate) signature: &'a str,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Return,
    Error,
    Signal,
    /// What we have no use for.
    Other,
}

/// A message that came.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    /// The serial of the call that it answers.
    pub(crate) reply_to: Option<u32>,
    /// Of a signal.
    pub(crate) member: String,
    /// Of an error.
    pub(crate) error: String,
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
}

// === impl Call ===

impl Call<'_> {
    pub(super) fn encode(&self, serial: u32) -> io::Result<Vec<u8>> {
        let mut writer = Writer::default();
        for byte in [ORDER, 1, 0, VERSION] {
            writer.byte(byte);
        }
        writer.u32(u32::try_from(self.body.len()).map_err(io::Error::other)?);
        writer.u32(serial);
        writer.array(8, |fields| {
            for (code, kind, text) in [
                (PATH, "o", self.path),
                (INTERFACE, "s", self.interface),
                (MEMBER, "s", self.member),
                (DESTINATION, "s", self.destination),
                (SIGNATURE, "g", self.signature),
            ] {
                fields.align(8);
                fields.byte(code);
                fields.signature(kind);
                match kind {
                    "g" => fields.signature(text),
                    _ => fields.string(text),
                }
            }
        });
        writer.align(8);
        let mut bytes = writer.into_bytes();
        bytes.extend(&self.body);
        Ok(bytes)
    }
}

// === impl Message ===

impl Message {
    /// How long the message is that begins with these bytes.
    pub(super) fn length(fixed: &[u8; FIXED]) -> io::Result<usize> {
        if fixed[0] != ORDER || fixed[3] != VERSION {
            return Err(io::Error::other("no message of this machine's D-Bus"));
        }
        let mut reader = Reader::new(&fixed[4..]);
        let (body, _, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let number = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
        let head = FIXED.saturating_add(number(fields)).min(LONGEST + 1).next_multiple_of(8);
        Some(head.saturating_add(number(body)))
            .filter(|length| *length <= LONGEST)
            .ok_or_else(|| io::Error::other("a message of more than 16 MiB"))
    }

    /// Of a whole one.
    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut reader = Reader::new(bytes);
        let [_, kind, _, _] = [reader.byte()?, reader.byte()?, reader.byte()?, reader.byte()?];
        let kind = match kind {
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let (_, _) = (reader.u32()?, reader.u32()?);
        let fields = usize::try_from(reader.u32()?).map_err(io::Error::other)?;
        let end = reader.position().saturating_add(fields);
        let (mut reply_to, mut texts) = (None, [const { String::new() }; 3]);
        let [member, error, signature] = &mut texts;
        while !reader.is_at(end) {
            reader.align(8);
            let code = reader.byte()?;
            match (code, reader.signature()?) {
                (REPLY_SERIAL, "u") => reply_to = Some(reader.u32()?),
                (_, "u") => drop(reader.u32()?),
                (MEMBER, "s") => reader.string()?.clone_into(member),
                (ERROR_NAME, "s") => reader.string()?.clone_into(error),
                (_, "s" | "o") => drop(reader.string()?),
                (SIGNATURE, "g") => reader.signature()?.clone_into(signature),
                (code, kind) => return Err(io::Error::other(format!("a header's field {code} of type {kind:?}"))),
            }
        }
        reader.align(8);
        let body = bytes.get(reader.position()..).unwrap_or_default().to_owned();
        let [member, error, signature] = texts;
        Ok(Self { kind, reply_to, member, error, signature, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Value;

    fn call() -> Vec<u8> {
        let mut body = Writer::default();
        body.string("a.scope");
        body.properties(&vec![("Slice", "a.slice".into()), ("PIDs", Value::U32s(vec![7])), ("TasksMax", 5u64.into())]);
        let (destination, path, interface) = ("org.a", "/a", "org.a.B");
        let body = body.into_bytes();
        Call { destination, path, interface, member: "Do", signature: "sa(sv)", body }.encode(3).unwrap()
    }

    #[test]
    fn a_message_is_as_long_as_it_says_and_its_fields_are_found() {
        let bytes = call();
        assert_eq!(Message::length(bytes[..FIXED].try_into().unwrap()).unwrap(), bytes.len());
        let message = Message::decode(&bytes).unwrap();
        assert_eq!((message.member.as_str(), message.signature.as_str()), ("Do", "sa(sv)"));
        assert_eq!((message.kind, message.reply_to), (Kind::Other, None));
        let mut reader = Reader::new(&message.body);
        assert_eq!(reader.string().unwrap(), "a.scope");
        // u32 length, then structures of eight bytes' alignment, each a name and a variant.
        let length = reader.u32().unwrap();
        reader.align(8);
        let begin = reader.position();
        assert_eq!(
            (reader.string().unwrap(), reader.signature().unwrap(), reader.string().unwrap()),
            ("Slice", "s", "a.slice")
        );
        reader.align(8);
        assert_eq!((reader.string().unwrap(), reader.signature().unwrap()), ("PIDs", "au"));
        assert_eq!((reader.u32().unwrap(), reader.u32().unwrap()), (4, 7));
        reader.align(8);
        assert_eq!((reader.string().unwrap(), reader.signature().unwrap()), ("TasksMax", "t"));
        reader.align(8);
        assert_eq!((reader.u32().unwrap(), reader.u32().unwrap()), (5, 0));
        assert_eq!(reader.position() - begin, length as usize);
    }

    #[test]
    fn what_is_cut_short_or_foreign_is_an_error_and_no_panic() {
        let bytes = call();
        for end in 0..bytes.len() - message_body(&bytes) {
            assert!(Message::decode(&bytes[..end]).is_err(), "{end} bytes");
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] = 0xff;
            // Whatever it says.
            let _ = Message::decode(&broken);
        }
        let mut long: [u8; FIXED] = bytes[..FIXED].try_into().unwrap();
        long[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(Message::length(&long).is_err());
        long[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(Message::length(&long).is_err());
        long[4..8].fill(0);
        assert!(Message::length(&long).is_err());
        long[0] = b'x';
        assert!(Message::length(&long).is_err());
    }

    /// And the padding before it, which may be missing.
    fn message_body(bytes: &[u8]) -> usize {
        Message::decode(bytes).unwrap().body.len() + 7
    }
}
