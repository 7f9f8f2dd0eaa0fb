use std::{collections::HashMap, io};

use flate2::{Decompress, FlushDecompress, Status};

use super::{
    dictionary::{ADLER32, dictionary},
    frame::broken,
};

/// The longest block of a stream's headers, inflated, bytes: a few bytes must not become a great deal.
const LONGEST: usize = 64 * 1024;

/// What precedes the first block: two bytes of zlib's, and the dictionary's checksum.
const PROLOGUE: usize = 6;

/// The flag in the second byte that says that a dictionary is used.
const WITH_DICTIONARY: u8 = 0x20;

/// The headers of one stream, their names in lower case.
pub(crate) type Headers = HashMap<String, String>;

/// Reads one client's header blocks: they are one compressed stream, so none may be left out.
pub(super) struct HeaderReader {
    inflate: Decompress,
    begun: bool,
}

// === impl HeaderReader ===

impl HeaderReader {
    pub(super) fn new() -> Self {
        Self { inflate: Decompress::new(false), begun: false }
    }

    /// Errors are `InvalidData`; no block can be read after one.
    pub(super) fn read(&mut self, mut block: &[u8]) -> io::Result<Headers> {
        if !self.begun {
            block = self.begin(block)?;
        }
        parse(&self.inflate(block)?)
    }

    fn begin<'b>(&mut self, block: &'b [u8]) -> io::Result<&'b [u8]> {
        let (prologue, rest) = block.split_at_checked(PROLOGUE).ok_or_else(|| broken("no headers".into()))?;
        let &[method, flags, ref checksum @ ..] = prologue else { return Err(broken("no headers".into())) };
        let checked = u16::from_be_bytes([method, flags]) % 31 == 0;
        let ours = *checksum == ADLER32.to_be_bytes();
        if method & 0x0f != 8 || !checked || flags & WITH_DICTIONARY == 0 || !ours {
            return Err(broken("headers that are not compressed with SPDY/3's dictionary".into()));
        }
        self.inflate.set_dictionary(&dictionary()).map_err(io::Error::other)?;
        self.begun = true;
        Ok(rest)
    }

    fn inflate(&mut self, mut block: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        loop {
            if plain.len() == plain.capacity() {
                plain.reserve(1024);
            }
            let (before_in, before_out) = (self.inflate.total_in(), plain.len());
            let status = self.inflate.decompress_vec(block, &mut plain, FlushDecompress::Sync);
            let status = status.map_err(|error| broken(format!("headers: {error}")))?;
            let used = usize::try_from(self.inflate.total_in() - before_in).map_err(io::Error::other)?;
            block = block.get(used..).unwrap_or_default();
            if plain.len() > LONGEST {
                return Err(broken(format!("headers of more than {LONGEST} bytes")));
            }
            let moved = used > 0 || plain.len() > before_out;
            match status {
                // All of it is read, and all that it said is there.
                Status::Ok | Status::BufError if block.is_empty() && plain.len() < plain.capacity() => {
                    return Ok(plain);
                }
                Status::Ok | Status::BufError if moved || plain.len() == plain.capacity() => {}
                _ => return Err(broken("headers whose compression ends".into())),
            }
        }
    }
}

/// A count, then name and value, each with its length before it.
fn parse(mut plain: &[u8]) -> io::Result<Headers> {
    let count = word(&mut plain)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let name = text(&mut plain)?.to_ascii_lowercase();
        let value = text(&mut plain)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn word(plain: &mut &[u8]) -> io::Result<usize> {
    let (bytes, rest) = plain.split_first_chunk::<4>().ok_or_else(|| broken("headers that are cut short".into()))?;
    *plain = rest;
    usize::try_from(u32::from_be_bytes(*bytes)).map_err(io::Error::other)
}

fn text(plain: &mut &[u8]) -> io::Result<String> {
    let length = word(plain)?;
    let (bytes, rest) = plain.split_at_checked(length).ok_or_else(|| broken("headers that are cut short".into()))?;
    *plain = rest;
    String::from_utf8(bytes.to_vec()).map_err(|_| broken("headers that are not text".into()))
}

/// The block of a reply, which says nothing: no pairs. `first` is before any other on the connection.
///
/// A stored block, so that no compressor is kept for a connection.
pub(super) fn no_headers(first: bool) -> Vec<u8> {
    let mut block = Vec::new();
    if first {
        // Deflate, a window of 32 KiB, with a dictionary; the last five bits make it a multiple of 31.
        block.extend_from_slice(&[0x78, 0xbb]);
        block.extend_from_slice(&ADLER32.to_be_bytes());
    }
    // Not the last, stored; its length and the complement of that, low byte first; a count of zero.
    block.extend_from_slice(&[0, 4, 0, 0xfb, 0xff]);
    block.extend_from_slice(&0u32.to_be_bytes());
    // An empty block is the sign to hand on what came before: Go's reader waits for it.
    block.extend_from_slice(&[0, 0, 0, 0xff, 0xff]);
    block
}

/// Reads what may be anything, after the prologue that any client has.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub fn fuzz_headers(data: &[u8]) {
    let mut reader = HeaderReader::new();
    let mut first = no_headers(true)[..PROLOGUE].to_vec();
    for block in data.split(|&byte| byte == 0xee) {
        first.extend_from_slice(block);
        if reader.read(&std::mem::take(&mut first)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    /// A client's side.
    pub(crate) struct HeaderWriter(Compress);

    impl HeaderWriter {
        pub(crate) fn new() -> Self {
            let mut compress = Compress::new(Compression::default(), true);
            compress.set_dictionary(&dictionary()).unwrap();
            Self(compress)
        }

        pub(crate) fn write(&mut self, pairs: &[(&str, &str)]) -> Vec<u8> {
            let mut plain = u32::try_from(pairs.len()).unwrap().to_be_bytes().to_vec();
            for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
                plain.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
                plain.extend_from_slice(text.as_bytes());
            }
            self.compress(&plain)
        }

        fn compress(&mut self, plain: &[u8]) -> Vec<u8> {
            let mut block = Vec::with_capacity(2 * plain.len() + 1024);
            self.0.compress_vec(plain, &mut block, FlushCompress::Sync).unwrap();
            block
        }
    }

    #[test]
    fn blocks_are_read_one_after_the_other() {
        let (mut writer, mut reader) = (HeaderWriter::new(), HeaderReader::new());
        for kind in ["error", "stdin", "stdout"] {
            let headers = reader.read(&writer.write(&[("streamType", kind), ("port", "80")])).unwrap();
            assert_eq!((headers["streamtype"].as_str(), headers["port"].as_str()), (kind, "80"));
        }
        assert!(reader.read(&writer.write(&[])).unwrap().is_empty());
    }

    #[test]
    fn our_replies_are_read_by_the_same_rules() {
        let mut reader = HeaderReader::new();
        assert!(reader.read(&no_headers(true)).unwrap().is_empty());
        assert!(reader.read(&no_headers(false)).unwrap().is_empty());
    }

    #[test]
    fn what_is_broken_or_grows_without_end_is_refused() {
        assert!(HeaderReader::new().read(b"").is_err());
        assert!(HeaderReader::new().read(b"\x78\x9cxxxxxxx").is_err());
        let mut bomb = HeaderWriter::new();
        let error = HeaderReader::new().read(&bomb.compress(&vec![0; 16 << 20])).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
        let mut cut = HeaderWriter::new();
        let block = cut.compress(&[0, 0, 0, 9, 0, 0, 0, 200, b'x']);
        assert!(HeaderReader::new().read(&block).is_err());
    }
}
