use std::io;

/// Decodes values one after the other. What is cut short or is no text is an error, whoever sent it.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn is_at(&self, end: usize) -> bool {
        self.at >= end
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Skips to a multiple of `to`, which may be the end.
    pub(crate) fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    pub(crate) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> io::Result<u32> {
        self.align(4);
        let four = self.take(4)?.try_into().map_err(io::Error::other)?;
        Ok(u32::from_ne_bytes(four))
    }

    /// Also an object's path.
    pub(crate) fn string(&mut self) -> io::Result<&'a str> {
        let length = self.u32()?;
        self.text(usize::try_from(length).map_err(io::Error::other)?)
    }

    pub(crate) fn signature(&mut self) -> io::Result<&'a str> {
        let length = self.byte()?;
        self.text(length.into())
    }

    /// `as`
    pub(crate) fn strings(&mut self) -> io::Result<Vec<&'a str>> {
        let length = usize::try_from(self.u32()?).map_err(io::Error::other)?;
        let end = self.at.saturating_add(length);
        let mut all = Vec::new();
        while !self.is_at(end) {
            all.push(self.string()?);
        }
        Ok(all)
    }

    fn text(&mut self, length: usize) -> io::Result<&'a str> {
        let text = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(text).map_err(io::Error::other)
    }

    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let end = self.at.saturating_add(length);
        let taken = self.bytes.get(self.at..end).ok_or_else(|| io::Error::other("a message that is cut short"))?;
        self.at = end;
        Ok(taken)
    }
}
