use std::io;

use crate::{Error, Kind, Result};

/// Names the object and the step that an error belongs to.
pub trait ResultExt<T> {
    /// Wraps the error. Its kind is the cause's own, or what its I/O error says; never `NotFound` for a
    /// file of ours that is missing, for that word belongs to the object of a request.
    fn step(self, what: impl FnOnce() -> String) -> Result<T>;

    /// Wraps the error as this kind.
    fn step_as(self, kind: Kind, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> ResultExt<T> for std::result::Result<T, E> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let source = error.into();
            Error::new(kind_of(source.as_ref()), what()).because(source)
        })
    }

    fn step_as(self, kind: Kind, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::new(kind, what()).because(error))
    }
}

fn kind_of(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Kind {
    if let Some(ours) = error.downcast_ref::<Error>() {
        return ours.kind();
    }
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory) => Kind::Exhausted,
        Some(io::ErrorKind::ReadOnlyFilesystem) => Kind::FailedPrecondition,
        Some(io::ErrorKind::TimedOut) => Kind::DeadlineExceeded,
        Some(
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable,
        ) => Kind::Unavailable,
        _ => Kind::Internal,
    }
}
