//! What ADD answers, in the formats of CNI's versions.

mod convert;
mod read;

pub(crate) use self::{convert::convert, read::addresses};
