//! The one error type at the seams between crates: object, step, cause, hint and kind.
//!
//! Inside a crate errors may be what they like; what leaves it is an [`Error`], so that every
//! message reads the same (`object: step: cause (hint)`) and one table maps [`Kind`] to gRPC codes.
#![forbid(unsafe_code)]

mod context;
mod error;
mod kind;

pub use self::{
    context::ResultExt,
    error::{Error, Result},
    kind::Kind,
};
