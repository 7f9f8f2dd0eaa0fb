//! How a client hears of the end: Kubernetes' `metav1.Status` as JSON, or plain words for the oldest clients.

use serde_json::{Value, json};
use wharf_error::{Error, Kind, Result};

/// The end of a process or connection, for the error stream. Clients of the first protocols hear of failures only.
pub(crate) fn end(result: &Result<i32>, structured: bool) -> Vec<u8> {
    match (result, structured) {
        (Ok(0), false) => Vec::new(),
        (Ok(code), false) => exited(*code).into_bytes(),
        (Err(error), false) => error.to_string().into_bytes(),
        (Ok(0), true) => json!({ "metadata": {}, "status": "Success" }).to_string().into_bytes(),
        (Ok(code), true) => failure(
            &exited(*code),
            "NonZeroExitCode",
            json!({ "causes": [{ "reason": "ExitCode", "message": code.to_string() }] }),
            None,
        ),
        (Err(error), true) => {
            let text = error.to_string();
            failure(&text, reason(error), json!({ "causes": [{ "message": text }] }), Some(code(error)))
        }
    }
}

fn exited(code: i32) -> String {
    format!("command terminated with exit code {code}")
}

fn failure(message: &str, reason: &str, details: Value, code: Option<u16>) -> Vec<u8> {
    let mut status =
        json!({ "metadata": {}, "status": "Failure", "message": message, "reason": reason, "details": details });
    if let Some(code) = code {
        status["code"] = code.into();
    }
    status.to_string().into_bytes()
}

fn reason(error: &Error) -> &'static str {
    match error.kind() {
        Kind::NotFound => "NotFound",
        Kind::InvalidArgument => "BadRequest",
        Kind::DeadlineExceeded => "Timeout",
        _ => "InternalError",
    }
}

fn code(error: &Error) -> u16 {
    match error.kind() {
        Kind::NotFound => 404,
        Kind::InvalidArgument => 400,
        Kind::DeadlineExceeded => 504,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(result: &Result<i32>) -> Value {
        serde_json::from_slice(&end(result, true)).unwrap()
    }

    #[test]
    fn an_exit_code_is_where_clients_look_for_it() {
        assert_eq!(parsed(&Ok(0))["status"], "Success");
        let status = parsed(&Ok(42));
        assert_eq!(status["status"], "Failure");
        assert_eq!(status["reason"], "NonZeroExitCode");
        assert_eq!(status["details"]["causes"][0], json!({ "reason": "ExitCode", "message": "42" }));
        assert_eq!(end(&Ok(3), false), b"command terminated with exit code 3");
        assert!(end(&Ok(0), false).is_empty());
    }

    #[test]
    fn an_error_has_its_words_and_a_code() {
        let error = Err(Error::not_found("container", "x"));
        assert_eq!(
            (&parsed(&error)["message"], &parsed(&error)["code"]),
            (&json!("container x not found"), &json!(404))
        );
        assert_eq!(end(&error, false), b"container x not found");
    }
}
