//! From a reference to a recorded image.

mod operation;
mod operations;
mod select;

pub(crate) use self::operations::Operations;
