//! From a layer blob to a directory: verify, inflate, write, each byte once.
//!
//! A layer is a stranger's bytes (class 2): every path of it is resolved beneath the target by file
//! descriptor, one component at a time; sizes and counts are bounded; and nothing counts as unpacked
//! before both digests match.
#![forbid(unsafe_code)]

mod archive;
mod budget;
mod compression;
mod failure;
mod implied;
mod lower;
mod options;
mod stream;
mod tree;
mod unpack;
mod write;

pub use self::{
    archive::{Member, MemberKind, Members},
    budget::Budget,
    compression::{Compression, decoder, inflate},
    failure::{Failure, NeedsParents},
    implied::fix_implied,
    options::{Descriptor, Limits, UnpackOptions, Unpacked},
    unpack::unpack,
};
