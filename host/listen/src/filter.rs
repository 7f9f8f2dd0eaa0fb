use std::{io, mem};

use crate::{
    frame::{self, HEAD, Head, LONGEST, PREFACE},
    headers::Headers,
};

/// A request's header block in all of its frames, at most, bytes.
const BLOCK: usize = 128 << 10;

/// What a client sends passes through here until its first request is known, and for ever where that one needed help.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    stage: Stage,
    headers: Headers,
    /// Whether requests are written anew: one had no good authority.
    rewrites: bool,
    /// Bytes that are no whole part yet.
    input: Vec<u8>,
    /// Bytes of a payload that pass as they are.
    payload: usize,
    /// The frames of a request that has not come whole.
    request: Option<Request>,
}

#[derive(Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    Preface,
    Frames,
    /// Nothing is looked at any more.
    Open,
}

#[derive(Debug)]
struct Request {
    first: Head,
    /// As they came.
    frames: Vec<u8>,
    block: Vec<u8>,
}

// === impl Filter ===

impl Filter {
    /// Whether nothing is looked at any more.
    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Takes what came, and adds what is to be read to `out`.
    ///
    /// # Errors
    ///
    /// `InvalidData` for what is no HTTP/2 on a connection whose requests are written anew; elsewhere who reads it judges.
    pub(crate) fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.input.extend_from_slice(bytes);
        let input = mem::take(&mut self.input);
        let mut rest = input.as_slice();
        while self.step(&mut rest, out)? {}
        self.input = rest.to_vec();
        Ok(())
    }

    /// One part; false where more must come first.
    fn step(&mut self, rest: &mut &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
        match self.stage {
            Stage::Open => {
                out.extend_from_slice(mem::take(rest));
                Ok(false)
            }
            Stage::Preface => {
                let Some(first) = rest.split_off(..PREFACE.len()) else {
                    // What cannot become one is for whoever reads it.
                    if !PREFACE.starts_with(rest) {
                        self.stage = Stage::Open;
                    }
                    return Ok(self.is_open());
                };
                out.extend_from_slice(first);
                self.stage = if first == PREFACE { Stage::Frames } else { Stage::Open };
                Ok(true)
            }
            Stage::Frames if self.payload > 0 => {
                let some = rest.split_off(..self.payload.min(rest.len())).unwrap_or_default();
                out.extend_from_slice(some);
                self.payload = self.payload.saturating_sub(some.len());
                Ok(!some.is_empty())
            }
            Stage::Frames => self.frame(rest, out),
        }
    }

    fn frame(&mut self, rest: &mut &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
        let Some(bytes) = rest.first_chunk::<HEAD>() else { return Ok(false) };
        let head = Head::read(*bytes);
        let of_request = match &self.request {
            Some(request) if !head.goes_on_with(request.first) => {
                return self.give_up("other frames amid a request's headers", out);
            }
            Some(_) => true,
            None => head.begins_headers(),
        };
        if !of_request {
            out.extend_from_slice(rest.split_off(..HEAD).unwrap_or_default());
            self.payload = head.length;
            return Ok(true);
        }
        let gathered = self.request.as_ref().map_or(0, |request| request.frames.len());
        if head.length > LONGEST || gathered.saturating_add(head.length) > BLOCK {
            return self.give_up("a request's headers are too long", out);
        }
        let Some(frame) = rest.split_off(..HEAD.saturating_add(head.length)) else { return Ok(false) };
        let request =
            self.request.get_or_insert_with(|| Request { first: head, frames: Vec::new(), block: Vec::new() });
        request.frames.extend_from_slice(frame);
        match head.fragment(frame.get(HEAD..).unwrap_or_default()) {
            Ok(fragment) => request.block.extend_from_slice(fragment),
            Err(error) => return self.give_up(&error.to_string(), out),
        }
        if head.ends_headers()
            && let Some(request) = self.request.take()
        {
            self.decide(request, out)?;
        }
        Ok(true)
    }

    fn decide(&mut self, request: Request, out: &mut Vec<u8>) -> io::Result<()> {
        if self.rewrites {
            frame::write(request.first, &self.headers.rewrite(&request.block)?, out);
            return Ok(());
        }
        match self.headers.mend(&request.block) {
            Ok(Some(block)) => {
                tracing::debug!("a client names a path as its authority; its requests are mended");
                self.rewrites = true;
                frame::write(request.first, &block, out);
            }
            // Who reads it finds what is wrong with it too.
            Ok(None) | Err(_) => {
                self.stage = Stage::Open;
                out.extend_from_slice(&request.frames);
            }
        }
        Ok(())
    }

    /// What cannot be understood passes as it came, where nothing was changed before it.
    fn give_up(&mut self, why: &str, out: &mut Vec<u8>) -> io::Result<bool> {
        if self.rewrites {
            return Err(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()));
        }
        if let Some(request) = self.request.take() {
            out.extend_from_slice(&request.frames);
        }
        self.stage = Stage::Open;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
