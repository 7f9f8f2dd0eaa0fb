use std::io;

/// What precedes every frame, bytes.
pub(super) const HEADER: usize = 8;

/// The longest control frame that is read, bytes. Clients' are some hundred.
const LONGEST_CONTROL: usize = 64 * 1024;

const VERSION: u16 = 3;

/// The flag of a stream's last frame.
pub(super) const FIN: u8 = 1;

/// The flag of a stream that only its opener writes.
pub(super) const UNIDIRECTIONAL: u8 = 2;

/// The beginning of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Head {
    Data { stream: u32, fin: bool, length: usize },
    Control { kind: Kind, flags: u8, length: usize },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    SynStream,
    SynReply,
    RstStream,
    Settings,
    Ping,
    GoAway,
    Headers,
    WindowUpdate,
    Other(u16),
}

// === impl Head ===

impl Head {
    /// Errors are `InvalidData`: what follows cannot be told apart any more.
    pub(super) fn parse(bytes: [u8; HEADER]) -> io::Result<Self> {
        let word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let length = u32::from_be_bytes([0, bytes[5], bytes[6], bytes[7]]);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let flags = bytes[4];
        if word >> 31 == 0 {
            return Ok(Self::Data { stream: word, fin: flags & FIN != 0, length });
        }
        let version = u16::from_be_bytes([bytes[0] & 0x7f, bytes[1]]);
        if version != VERSION {
            return Err(broken(format!("a frame of SPDY/{version}")));
        }
        if length > LONGEST_CONTROL {
            return Err(broken(format!("a control frame of {length} bytes")));
        }
        let kind = match u16::from_be_bytes([bytes[2], bytes[3]]) {
            1 => Kind::SynStream,
            2 => Kind::SynReply,
            3 => Kind::RstStream,
            4 => Kind::Settings,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            8 => Kind::Headers,
            9 => Kind::WindowUpdate,
            other => Kind::Other(other),
        };
        Ok(Self::Control { kind, flags, length })
    }
}

/// The beginning of a data frame.
pub(super) fn data(stream: u32, flags: u8, length: usize) -> [u8; HEADER] {
    let (s, l) = (stream.to_be_bytes(), u32::try_from(length).unwrap_or_default().to_be_bytes());
    [s[0] & 0x7f, s[1], s[2], s[3], flags, l[1], l[2], l[3]]
}

/// A whole control frame.
pub(super) fn control(kind: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (k, l) = (kind.to_be_bytes(), u32::try_from(payload.len()).unwrap_or_default().to_be_bytes());
    let mut frame = vec![0x80, VERSION.to_be_bytes()[1], k[0], k[1], flags, l[1], l[2], l[3]];
    frame.extend_from_slice(payload);
    frame
}

/// A stream's number, or another of 31 bits, at an offset of a control frame.
pub(super) fn number(payload: &[u8], offset: usize) -> io::Result<u32> {
    let bytes = payload.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
    let bytes: [u8; 4] = bytes.ok_or_else(|| broken("a control frame that is cut short".into()))?;
    Ok(u32::from_be_bytes(bytes) & 0x7fff_ffff)
}

pub(super) fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_go_round() {
        assert_eq!(
            Head::parse(data(5, FIN, 0x01_02_03)).unwrap(),
            Head::Data { stream: 5, fin: true, length: 0x01_02_03 }
        );
        let ping = control(6, 0, &7u32.to_be_bytes());
        let head = Head::parse(ping[..HEADER].try_into().unwrap()).unwrap();
        assert_eq!(head, Head::Control { kind: Kind::Ping, flags: 0, length: 4 });
        assert_eq!(number(&ping[HEADER..], 0).unwrap(), 7);
        assert!(number(&[1, 2, 3], 0).is_err());
    }

    #[test]
    fn another_version_or_length_is_refused() {
        assert!(Head::parse([0x80, 2, 0, 1, 0, 0, 0, 0]).is_err());
        assert!(Head::parse([0x80, 3, 0, 1, 0, 0xff, 0, 0]).is_err());
    }
}
