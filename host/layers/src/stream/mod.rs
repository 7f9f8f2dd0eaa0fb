//! The bytes of a blob on their way to the archive: hashed, inflated, hashed again, bounded.

mod blob;
mod digest;
mod inflate;
mod pipe;

pub(crate) use self::{
    blob::Blob,
    digest::verify,
    inflate::Inflate,
    pipe::{Chunk, Conveyor, Plain, pipe},
};

use self::digest::Digest;
