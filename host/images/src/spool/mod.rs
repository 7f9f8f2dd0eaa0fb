//! Layer blobs on their way here: each in a file of its own in `ingest`, written by whoever downloads it and read by
//! whoever unpacks it, at the same time.
//!
//! However many layers of however many pulls want one blob, it is downloaded once: all share its file, one of them
//! fetches, and where that one gives up another goes on. The network never waits for the disk's unpacking, several
//! connections can fill one file, and a pull that is tried again goes on where the last one ended. A file goes when
//! a layer made of it is committed; one that came to nothing stays for a while.

mod fetch;
mod file;
mod filled;
mod reader;
mod spools;

pub(crate) use self::{
    file::Spool,
    reader::{SpoolReader, Stop},
    spools::Spools,
};
