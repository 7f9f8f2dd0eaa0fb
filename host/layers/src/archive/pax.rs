use wharf_error::{Error, Result};

use super::{
    Time,
    header::id,
    sparse::{Extent, PaxSparse},
};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// The PAX records before an entry. Of one key the last counts, an empty value takes it back.
#[derive(Default)]
pub(super) struct Records {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<Vec<u8>>,
    uid: Option<Vec<u8>>,
    gid: Option<Vec<u8>>,
    mtime: Option<Vec<u8>>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: PaxSparse,
}

// === impl Records ===

impl Records {
    /// Reads `length key=value\n`, by length: values may hold any byte.
    pub(super) fn parse(mut data: &[u8]) -> Result<Self> {
        let mut records = Self::default();
        // Padding after the last record is not in the standard, but written.
        while !data.iter().all(|byte| *byte == 0) {
            let (key, value, rest) = split(data).ok_or_else(|| Error::invalid("archive: malformed PAX record"))?;
            records.take(key, value)?;
            data = rest;
        }
        Ok(records)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let set = || Some(value.to_vec()).filter(|value| !value.is_empty());
        match key {
            b"path" => self.path = set(),
            b"linkpath" => self.link = set(),
            b"size" => self.size = set(),
            b"uid" => self.uid = set(),
            b"gid" => self.gid = set(),
            b"mtime" => self.mtime = set(),
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(key, value)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn path(&self) -> Option<&[u8]> {
        self.path.as_deref()
    }

    pub(super) fn link(&self) -> Option<&[u8]> {
        self.link.as_deref()
    }

    pub(super) fn size(&self) -> Result<Option<u64>> {
        self.size.as_deref().map(decimal).transpose()
    }

    pub(super) fn uid(&self) -> Result<Option<u32>> {
        self.uid.as_deref().map(|text| signed(text).and_then(id)).transpose()
    }

    pub(super) fn gid(&self) -> Result<Option<u32>> {
        self.gid.as_deref().map(|text| signed(text).and_then(id)).transpose()
    }

    pub(super) fn mtime(&self) -> Result<Option<Time>> {
        self.mtime.as_deref().map(time).transpose()
    }

    pub(super) fn sparse(&self) -> &PaxSparse {
        &self.sparse
    }

    pub(super) fn into_xattrs(self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.xattrs
    }
}

/// A decimal number, as all sizes in extended headers are written.
pub(super) fn decimal(text: &[u8]) -> Result<u64> {
    let number =
        std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::invalid(format!("archive: {:?} is no size", text.escape_ascii().to_string())))
}

/// `offset,length` pairs of format 0.1.
pub(super) fn pairs(map: &[u8]) -> Result<Vec<Extent>> {
    let numbers = map.split(|byte| *byte == b',').filter(|number| !number.is_empty()).map(decimal);
    let numbers = numbers.collect::<Result<Vec<_>>>()?;
    let (pairs, []) = numbers.as_chunks::<2>() else {
        return Err(Error::invalid("archive: odd sparse map"));
    };
    Ok(pairs.iter().map(|[offset, length]| Extent { offset: *offset, length: *length }).collect())
}

fn split(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let (record, rest) = data.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    (equals > 0).then(|| (&body[..equals], &body[equals + 1..], rest))
}

fn signed(text: &[u8]) -> Result<i64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::invalid(format!("archive: {:?} is no number", text.escape_ascii().to_string())))
}

/// `[-]seconds[.fraction]`, cut to nanoseconds.
fn time(text: &[u8]) -> Result<Time> {
    let wrong = || Error::invalid(format!("archive: {:?} is no time", text.escape_ascii().to_string()));
    let string = std::str::from_utf8(text).map_err(|_| wrong())?;
    let (whole, fraction) = string.split_once('.').unwrap_or((string, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let seconds: i64 = whole.parse().map_err(|_| wrong())?;
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    // -1.25 is a quarter of a second before -1, and the kernel counts nanoseconds upwards.
    if whole.starts_with('-') && nanos > 0 {
        let seconds = seconds.checked_sub(1).ok_or_else(wrong)?;
        return Ok(Time { seconds, nanos: 1_000_000_000 - nanos });
    }
    Ok(Time { seconds, nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_hold_any_byte_and_the_last_one_counts() {
        let data = b"21 SCHILY.xattr.u=a\n\n14 path=first\n15 path=second\n30 mtime=1700000000.123456789\n\0\0";
        let records = Records::parse(data).unwrap();
        assert_eq!(records.path().unwrap(), b"second");
        assert_eq!(records.mtime().unwrap().unwrap(), Time { seconds: 1_700_000_000, nanos: 123_456_789 });
        assert_eq!(records.into_xattrs(), [(b"u".to_vec(), b"a\n".to_vec())]);
    }

    #[test]
    fn malformed_records_are_refused() {
        for data in [&b"9 path=a\n9"[..], b"8 path=a\n", b"x path=a\n", b"99 path=a\n", b"5 =a\n", b"3 \n"] {
            assert!(Records::parse(data).is_err(), "{}", data.escape_ascii());
        }
    }

    #[test]
    fn times_before_the_epoch() {
        assert_eq!(time(b"-1.25").unwrap(), Time { seconds: -2, nanos: 750_000_000 });
        assert_eq!(time(b"-0.5").unwrap(), Time { seconds: -1, nanos: 500_000_000 });
        assert_eq!(time(b"5").unwrap(), Time { seconds: 5, nanos: 0 });
        assert!(time(b"5.-1").is_err());
        assert!(time(b"").is_err());
    }
}
