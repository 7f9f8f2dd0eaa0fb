use std::fmt;

use crate::Kind;

/// A result whose error names object, step and cause.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What failed, at which step, why, and what a person can do about it.
///
/// `Display` prints the whole chain, outermost first, each part once:
/// `container web: mount /data: no such file or directory (create the directory on the node)`.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: String,
    hint: Option<String>,
    source: Option<Source>,
}

impl Error {
    /// An error without a deeper cause. `what` names the object and the step, lower case, no full stop.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None, source: None }
    }

    /// Shorthand for [`Kind::InvalidArgument`].
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, what)
    }

    /// Shorthand for [`Kind::NotFound`]: `not_found("container", id)` reads `container ID not found`.
    pub fn not_found(object: &str, id: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("{object} {id} not found"))
    }

    /// Shorthand for [`Kind::Internal`].
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Kind::Internal, what)
    }

    /// Adds the cause below. A cause that is an [`Error`] keeps its own text and hint in the chain.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what a person can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The sort of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same error as another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Whether the object of the request does not exist: what an idempotent removal takes as success.
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }
}

// === impl Error ===

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let mut hint = self.hint.as_deref();
        let mut next = self.source.as_deref().map(|e| e as &dyn std::error::Error);
        while let Some(cause) = next {
            match cause.downcast_ref::<Error>() {
                Some(ours) => {
                    write!(f, ": {}", ours.what)?;
                    hint = ours.hint.as_deref().or(hint);
                    next = ours.source.as_deref().map(|e| e as &dyn std::error::Error);
                }
                None => {
                    write!(f, ": {cause}")?;
                    next = cause.source().filter(|deeper| !cause.to_string().contains(&deeper.to_string()));
                }
            }
        }
        hint.map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for Error {
    // The chain is part of `Display` already; a reporter that walks sources must not print it twice.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResultExt as _;

    #[test]
    fn a_chain_prints_each_part_once_with_the_deepest_hint() {
        let io = std::io::Error::other("disk on fire");
        let inner = Error::new(Kind::Exhausted, "layer sha256:1: write /etc").because(io).hint("free space");
        let outer: Result<()> = Err(inner).step(|| "image busybox: unpack".into());
        let error = outer.unwrap_err();
        assert_eq!(error.to_string(), "image busybox: unpack: layer sha256:1: write /etc: disk on fire (free space)");
        assert_eq!(error.kind(), Kind::Exhausted, "the kind is the cause's");
    }

    #[test]
    fn a_missing_file_of_ours_is_no_missing_object() {
        let missing: Result<()> = std::fs::read("/does/not/exist").map(drop).step(|| "read state".into());
        assert_eq!(missing.unwrap_err().kind(), Kind::Internal);
    }
}
