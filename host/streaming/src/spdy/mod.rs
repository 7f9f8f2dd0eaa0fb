//! SPDY/3.1, as much of it as Kubernetes' clients speak: streams, pings, no flow control.
//!
//! Their library sends no WINDOW_UPDATE and waits for none, so neither do we: TCP alone holds a fast side back.

mod dictionary;
mod frame;
mod headers;
mod reader;
mod session;
mod writer;

pub(crate) use self::{
    headers::Headers,
    reader::{Opened, Reader},
    session::session,
    writer::Writer,
};

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use self::headers::fuzz_headers;
