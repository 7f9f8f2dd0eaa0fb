use wharf_error::{Error, Result};

use super::{BLOCK, Time, until_nul};

/// A header block whose checksum is right.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

// === impl Header ===

impl<'a> Header<'a> {
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Self> {
        let told = number(&block[148..156])?;
        let blanked = |sum: i64| sum + 8 * i64::from(b' ');
        let rest = || block[..148].iter().chain(&block[156..]);
        let unsigned = blanked(rest().map(|byte| i64::from(*byte)).sum());
        // Some old archivers summed up signed bytes.
        let signed = blanked(rest().map(|byte| i64::from(byte.cast_signed())).sum());
        if told != unsigned && told != signed {
            return Err(Error::invalid("archive: header checksum does not match"));
        }
        Ok(Self(block))
    }

    pub(super) fn typeflag(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let name = field(&self.0[..100]);
        // GNU's header has other things where ustar's has the prefix; older ones have nothing there.
        let prefix = if self.is_ustar() { field(&self.0[345..500]) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> &'a [u8] {
        field(&self.0[157..257])
    }

    /// Permission bits; the type bits that some archivers add are cut off.
    pub(super) fn mode(&self) -> Result<u32> {
        u32::try_from(number(&self.0[100..108])? & 0o7777).map_err(|_| Error::invalid("mode out of range"))
    }

    pub(super) fn uid(&self) -> Result<u32> {
        id(number(&self.0[108..116])?)
    }

    pub(super) fn gid(&self) -> Result<u32> {
        id(number(&self.0[116..124])?)
    }

    pub(super) fn size(&self) -> Result<u64> {
        u64::try_from(number(&self.0[124..136])?).map_err(|_| Error::invalid("negative size"))
    }

    pub(super) fn mtime(&self) -> Result<Time> {
        Ok(Time { seconds: number(&self.0[136..148])?, nanos: 0 })
    }

    /// Major and minor, in the ranges that the kernel has.
    pub(super) fn device(&self) -> Result<(u32, u32)> {
        if !self.is_ustar() && !self.is_gnu() {
            return Ok((0, 0));
        }
        let part = |bytes: &[u8], bits: u32| {
            number(bytes)
                .and_then(|n| u32::try_from(n).map_err(|_| Error::invalid("device number out of range")))
                .and_then(|n| if n >> bits == 0 { Ok(n) } else { Err(Error::invalid("device number out of range")) })
        };
        Ok((part(&self.0[329..337], 12)?, part(&self.0[337..345], 20)?))
    }

    pub(super) fn is_gnu(&self) -> bool {
        &self.0[257..265] == b"ustar  \0"
    }

    /// The four offset and length pairs in the header of a GNU sparse file.
    pub(super) fn sparse_pairs(&self) -> &'a [u8] {
        &self.0[386..482]
    }

    /// Whether blocks with more pairs follow.
    pub(super) fn sparse_goes_on(&self) -> bool {
        self.0[482] != 0
    }

    pub(super) fn sparse_size(&self) -> Result<u64> {
        u64::try_from(number(&self.0[483..495])?).map_err(|_| Error::invalid("negative size"))
    }

    fn is_ustar(&self) -> bool {
        &self.0[257..263] == b"ustar\0"
    }
}

/// An owner. `u32::MAX` means "leave it" to chown, so it names nobody.
pub(super) fn id(n: i64) -> Result<u32> {
    u32::try_from(n).ok().filter(|id| *id != u32::MAX).ok_or_else(|| Error::invalid(format!("owner {n} out of range")))
}

/// A numeric field: octal text, blank meaning zero, or GNU's big-endian binary when the first bit is set.
pub(super) fn number(bytes: &[u8]) -> Result<i64> {
    let wrong = || Error::invalid(format!("archive: {:?} is no number", bytes.escape_ascii().to_string()));
    let Some((first, rest)) = bytes.split_first() else { return Err(wrong()) };
    if first & 0x80 != 0 {
        // Two's complement with the mark bit taken out: its sign is the bit below.
        let negative = first & 0x40 != 0;
        let top = i128::from(first & 0x7f) - if negative { 0x80 } else { 0 };
        // A hundred bits at most: a field has twelve bytes.
        let value = rest.iter().fold(top, |sum, byte| (sum << 8) | i128::from(*byte));
        return i64::try_from(value).map_err(|_| wrong());
    }
    let text = until_nul(bytes.to_vec());
    let text = text.trim_ascii();
    text.iter().try_fold(0_i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8).and_then(|sum| sum.checked_add(i64::from(digit - b'0'))).ok_or_else(wrong),
        _ => Err(wrong()),
    })
}

fn field(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_the_ways_they_are_written() {
        assert_eq!(number(b"0000644\0").unwrap(), 0o644);
        assert_eq!(number(b"   644 \0").unwrap(), 0o644);
        assert_eq!(number(b"\0\0\0\0\0\0\0\0").unwrap(), 0, "blank is zero");
        assert_eq!(number(b"777777777777").unwrap(), 0o777_777_777_777, "no room for a terminator");
        assert_eq!(number(&[0x80, 0, 0, 0, 2, 0, 0, 0, 0]).unwrap(), 2 << 32);
        assert_eq!(number(&[0xff; 12]).unwrap(), -1);
        assert!(number(&[0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err(), "2^94");
        assert!(number(b"0000008\0").is_err());
        assert!(number(b"-000001\0").is_err());
    }
}
