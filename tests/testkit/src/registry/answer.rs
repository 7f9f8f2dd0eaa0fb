use serde_json::json;

/// An answer before it is written.
pub(super) struct Answer {
    pub status: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Write only so much of the body, then close.
    pub break_after: Option<usize>,
    /// Write so much of the body, and the rest when this blob does not stall any more.
    pub stall: Option<(usize, String)>,
}

impl Answer {
    pub fn new(status: &'static str, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body, break_after: None, stall: None }
    }

    pub fn error(status: &'static str, code: &str) -> Self {
        let body = json!({ "errors": [{ "code": code, "message": status }] }).to_string().into_bytes();
        Self::new(status, body).with("Content-Type", "application/json")
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
