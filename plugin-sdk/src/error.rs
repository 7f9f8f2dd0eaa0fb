use crate::{Code, Error};

/// A result of the contract: the error is shown to the client behind `plugin NAME: FUNCTION: `.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Object, step and cause in lower case, without a full stop.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Shorthand for [`Code::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Code::Unsupported, message)
    }

    /// Adds what a person can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the step that failed, before what the cause says of itself.
    #[must_use]
    pub fn at(mut self, step: impl std::fmt::Display) -> Self {
        self.message = format!("{step}: {}", self.message);
        self
    }
}
