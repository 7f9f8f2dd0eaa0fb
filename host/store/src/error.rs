use std::{io, path::Path};

use wharf_error::{Error, Kind, ResultExt as _};

/// Turns redb's error into ours: the file, the step, the cause and what a person can do.
pub(crate) fn storage(path: &Path, step: &str, error: impl Into<redb::Error>) -> Error {
    let what = format!("database {}: {step}", path.display());
    match error.into() {
        redb::Error::Io(error) => io_error(what, error),
        redb::Error::Corrupted(why) => damaged(what, &why),
        redb::Error::TableTypeMismatch { table, .. } => damaged(what, &format!("table {table} has another type")),
        redb::Error::UpgradeRequired(version) => Error::new(Kind::FailedPrecondition, what)
            .because(format!("file format {version} is not known to this version"))
            .hint("start the version of wharf that wrote it"),
        error @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed) => {
            Error::new(Kind::Unavailable, what).because(error)
        }
        error @ redb::Error::ValueTooLarge(_) => Error::new(Kind::InvalidArgument, what).because(error),
        error => Error::internal(what).because(error),
    }
}

/// A file that cannot be what we wrote.
pub(crate) fn damaged(what: String, why: &str) -> Error {
    Error::new(Kind::DataLoss, what)
        .because(why.to_owned())
        .hint("the file is damaged or not ours: move it away, or restore it from a backup")
}

fn io_error(what: String, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::InvalidData {
        return damaged(what, &error.to_string());
    }
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free space on its file system"),
        io::ErrorKind::ReadOnlyFilesystem => Some("its file system is read-only: check the kernel log for disk errors"),
        _ => None,
    };
    let result: wharf_error::Result<()> = Err(error).step(|| what);
    match (result, hint) {
        (Err(error), Some(hint)) => error.hint(hint),
        (Err(error), None) => error,
        // `Err` went in.
        (Ok(()), _) => Error::internal("an error was lost"),
    }
}

/// The same failure once more, for another of those who shared a flush.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string())
}
