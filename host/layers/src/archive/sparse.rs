//! Files with holes: GNU's own header (type `S`) and the three versions of its PAX form.

use std::io::BufRead;

use wharf_error::{Error, Kind, Result};

use super::{
    Archive, BLOCK,
    header::{Header, number},
    pax::{Records, decimal, pairs},
    reading,
};

/// A run of data in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A file with holes, as its headers tell it.
pub(super) struct Shape {
    /// Of format 1.0 and 0.1, where the header's own name is a placeholder.
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: u64,
    pub(super) extents: Vec<Extent>,
}

/// The `GNU.sparse.*` records.
#[derive(Default)]
pub(super) struct PaxSparse {
    name: Option<Vec<u8>>,
    major: u64,
    minor: u64,
    size: Option<u64>,
    /// Format 0.1's, or built up from 0.0's pairs of records.
    map: Option<Vec<Extent>>,
    offset: Option<u64>,
}

// === impl Shape ===

impl Shape {
    /// Holds a map to what was announced: in order, apart, within the file, and as long as the data.
    pub(super) fn check(&self, stored: u64) -> Result<()> {
        let mut at = 0_u64;
        let mut data = 0_u64;
        for extent in &self.extents {
            let end = extent.offset.checked_add(extent.length).filter(|end| *end <= self.size);
            let end = end.filter(|_| extent.offset >= at);
            at = end.ok_or_else(|| Error::invalid("sparse map is out of order or beyond the file"))?;
            data += extent.length;
        }
        if data != stored {
            return Err(Error::invalid(format!("sparse map holds {data} bytes, the entry {stored}")));
        }
        Ok(())
    }
}

// === impl PaxSparse ===

impl PaxSparse {
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = decimal(value)?,
            b"minor" => self.minor = decimal(value)?,
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"map" => self.map = Some(pairs(value)?),
            b"numblocks" => self.map = Some(self.map.take().unwrap_or_default()),
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => {
                let offset = self.offset.take();
                let offset = offset.ok_or_else(|| Error::invalid("archive: sparse length without offset"))?;
                self.map.get_or_insert_default().push(Extent { offset, length: decimal(value)? });
            }
            _ => {}
        }
        Ok(())
    }
}

// === impl Archive ===

impl<R: BufRead> Archive<R> {
    /// Type `S`: four pairs in the header, then blocks of 21, before the data.
    pub(super) fn old_sparse(&mut self, header: &Header<'_>, mut used: usize) -> Result<Option<Shape>> {
        if !header.is_gnu() {
            return Err(Error::invalid("sparse file without GNU's header"));
        }
        let mut extents = Vec::new();
        old_pairs(header.sparse_pairs(), &mut extents)?;
        let mut goes_on = header.sparse_goes_on();
        while goes_on {
            used += BLOCK;
            self.within(used)?;
            let block = self.block()?.ok_or_else(|| Error::invalid("archive: ends in a sparse map"))?;
            old_pairs(&block[..504], &mut extents)?;
            goes_on = block[504] != 0;
        }
        Ok(Some(Shape { name: None, size: header.sparse_size()?, extents }))
    }

    /// The PAX forms; format 1.0 has its map at the head of the data.
    pub(super) fn pax_sparse(&mut self, records: &Records, mut used: usize) -> Result<Option<Shape>> {
        let sparse = records.sparse();
        let extents = match (sparse.major, sparse.minor, &sparse.map) {
            (1, 0, _) => self.leading_map(&mut used)?,
            (0, _, Some(map)) => map.clone(),
            (0, 0, None) => return Ok(None),
            (major, minor, _) => return Err(Error::invalid(format!("sparse format {major}.{minor} is not known"))),
        };
        let size = sparse.size.ok_or_else(|| Error::invalid("sparse file without a size"))?;
        Ok(Some(Shape { name: sparse.name.clone(), size, extents }))
    }

    /// Lines of decimal numbers: how many pairs, then the pairs; zeroes fill the last block.
    fn leading_map(&mut self, used: &mut usize) -> Result<Vec<Extent>> {
        let mut read = 0_usize;
        let count = self.line(used, &mut read)?;
        let mut extents = Vec::new();
        for _ in 0..count {
            let offset = self.line(used, &mut read)?;
            extents.push(Extent { offset, length: self.line(used, &mut read)? });
        }
        let mut rest = (BLOCK - read % BLOCK) % BLOCK;
        while rest > 0 {
            let step = self.fill_buf().map_err(reading)?.len().min(rest);
            if step == 0 {
                return Err(Error::invalid("sparse map ends early"));
            }
            self.consume(step);
            rest -= step;
        }
        Ok(extents)
    }

    fn line(&mut self, used: &mut usize, read: &mut usize) -> Result<u64> {
        let mut line = Vec::new();
        loop {
            let byte =
                *self.fill_buf().map_err(reading)?.first().ok_or_else(|| Error::invalid("sparse map ends early"))?;
            self.consume(1);
            *read += 1;
            *used += 1;
            self.within(*used)?;
            if byte == b'\n' {
                return decimal(&line);
            }
            line.push(byte);
        }
    }

    fn within(&self, used: usize) -> Result<()> {
        if used > self.header_limit {
            let what = format!("archive: extended headers above {} bytes", self.header_limit);
            return Err(Error::new(Kind::Exhausted, what));
        }
        Ok(())
    }
}

fn old_pairs(bytes: &[u8], extents: &mut Vec<Extent>) -> Result<()> {
    for pair in bytes.chunks_exact(24) {
        if pair[0] == 0 || pair[12] == 0 {
            continue;
        }
        let part = |bytes| number(bytes).and_then(|n| u64::try_from(n).map_err(|_| Error::invalid("negative size")));
        extents.push(Extent { offset: part(&pair[..12])?, length: part(&pair[12..])? });
    }
    Ok(())
}
