//! The one place where a [`Kind`] becomes a gRPC code.

use tonic::{Code, Status};
use wharf_error::{Error, Kind};

/// A status travels in a header: what is longer is cut.
const LONGEST: usize = 8 << 10;

/// The status that says what the error says.
pub fn to_status(error: &Error) -> Status {
    Status::new(code(error.kind()), cut(error.to_string()))
}

/// The status of a failed pull.
///
/// The kubelet knows a few words of its own, and finds them only where they begin the message of a status of code
/// `Unknown`: then it shows `RegistryUnavailable` as the container's reason instead of `ErrImagePull`.
pub(crate) fn pull_status(error: &Error) -> Status {
    match error.kind() {
        Kind::Unavailable => Status::unknown(cut(format!("RegistryUnavailable: {error}"))),
        _ => to_status(error),
    }
}

fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Unsupported => Code::Unimplemented,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Cancelled => Code::Cancelled,
        Kind::DataLoss => Code::DataLoss,
        Kind::Internal => Code::Internal,
        Kind::Unknown => Code::Unknown,
    }
}

fn cut(mut message: String) -> String {
    if message.len() > LONGEST {
        message.truncate(message.floor_char_boundary(LONGEST));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_code_and_the_whole_chain() {
        let error =
            Error::new(Kind::FailedPrecondition, "pod x: start").because(Error::internal("disk")).hint("free it");
        let status = to_status(&error);
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "pod x: start: disk (free it)"));
    }

    #[test]
    fn a_registry_that_is_away_has_the_kubelets_word_first() {
        let status = pull_status(&Error::new(Kind::Unavailable, "image x: resolve"));
        assert_eq!((status.code(), status.message()), (Code::Unknown, "RegistryUnavailable: image x: resolve"));
        assert_eq!(pull_status(&Error::not_found("image", "x")).code(), Code::NotFound);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let status = to_status(&Error::internal("é".repeat(LONGEST)));
        assert!(status.message().len() <= LONGEST + 3 && status.message().ends_with('…'));
    }
}
