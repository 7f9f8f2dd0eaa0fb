use std::{fmt, io};

use http::uri::Authority;
use loona_hpack::{Decoder, Encoder};

/// What a table of headers holds at most, bytes: what HTTP/2 begins with, and we say nothing else.
const TABLE: usize = 4096;
/// More than this is in no request, bytes: `h2` refuses less.
const LONGEST: usize = 256 << 10;
const AUTHORITY: &[u8] = b":authority";
/// What gRPC's other clients name.
const LOCALHOST: &[u8] = b"localhost";

/// The headers of one connection's requests, read and written again.
pub(crate) struct Headers {
    decoder: Decoder<'static>,
    encoder: Encoder<'static>,
}

type List = Vec<(Vec<u8>, Vec<u8>)>;

// === impl Headers ===

impl Headers {
    /// The block with a good authority; `None` where it has one.
    pub(crate) fn mend(&mut self, block: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let list = self.read(block)?;
        if list.iter().all(|(name, value)| is_good(name, value)) {
            return Ok(None);
        }
        Ok(Some(self.write(&list)))
    }

    /// The block with a good authority, written anew whatever it had: the tables of both sides go on together.
    pub(crate) fn rewrite(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let list = self.read(block)?;
        Ok(self.write(&list))
    }

    fn read(&mut self, block: &[u8]) -> io::Result<List> {
        let (mut list, mut size) = (List::new(), 0_usize);
        let read = self.decoder.decode_with_cb(block, |name, value| {
            size = size.saturating_add(name.len()).saturating_add(value.len());
            // A short block may name a long header very often.
            if size <= LONGEST {
                list.push((name.into_owned(), value.into_owned()));
            }
        });
        read.map_err(|error| invalid(format!("headers of a request: {error}")))?;
        if size > LONGEST {
            return Err(invalid(format!("headers of a request: more than {LONGEST} bytes")));
        }
        Ok(list)
    }

    fn write(&mut self, list: &List) -> Vec<u8> {
        let mended = |(name, value): &'_ (Vec<u8>, Vec<u8>)| !is_good(name, value);
        self.encoder.encode(list.iter().map(|header| {
            let (name, value) = header;
            (name.as_slice(), if mended(header) { LOCALHOST } else { value.as_slice() })
        }))
    }
}

impl Default for Headers {
    fn default() -> Self {
        let mut decoder = Decoder::new();
        decoder.set_max_allowed_table_size(TABLE);
        Self { decoder, encoder: Encoder::new() }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Headers").finish_non_exhaustive()
    }
}

/// By the very rules by which a request is refused.
fn is_good(name: &[u8], value: &[u8]) -> bool {
    name != AUTHORITY || Authority::try_from(value).is_ok()
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
