use std::process::ExitStatus;

use serde_json::Value;
use wharf_error::{Error, Kind};

use super::output::Kept;

/// The longest text of a plugin's that is shown, in bytes.
const LONGEST: usize = 2048;

/// What a plugin that failed says: its error object, else what it printed, else how it ended.
pub(super) fn failure(status: ExitStatus, stdout: &Kept, stderr: &Kept) -> Error {
    let error: Option<Value> = serde_json::from_slice(&stdout.bytes).ok();
    if let Some(error) = error.filter(|error| error["msg"].is_string() || error["code"].is_number()) {
        let (code, message) = (error["code"].as_u64().unwrap_or(0), error["msg"].as_str().unwrap_or_default());
        let details = error["details"].as_str().filter(|details| !details.is_empty());
        let mut text = plain(message);
        if let Some(details) = details {
            text = format!("{text}; {}", plain(details));
        }
        return Error::new(kind(code), format!("{} (CNI error {code})", text.trim()));
    }
    let printed = [&stderr.bytes, &stdout.bytes].map(|bytes| plain(&String::from_utf8_lossy(bytes)));
    let said = printed.iter().find(|text| !text.is_empty());
    Error::new(
        Kind::Unknown,
        match said {
            Some(said) => format!("{said} ({status})"),
            None => format!("it failed without a word ({status})"),
        },
    )
}

/// A text of a plugin's without control characters, its end where it is too long: there the reason is.
pub(super) fn plain(text: &str) -> String {
    let text = text.trim();
    let begin = text.ceil_char_boundary(text.len().saturating_sub(LONGEST));
    let cut = if begin > 0 { "…" } else { "" };
    let shown = text.get(begin..).unwrap_or_default();
    let shown = shown.chars().map(|c| if c.is_control() { ' ' } else { c });
    cut.chars().chain(shown).collect()
}

/// By the specification's well-known codes.
fn kind(code: u64) -> Kind {
    match code {
        // Incompatible version, unsupported field, unknown container, bad environment, bad configuration.
        1 | 2 | 3 | 4 | 7 => Kind::FailedPrecondition,
        // Try again; not available; limited connectivity.
        11 | 50 | 51 => Kind::Unavailable,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn said(stdout: &str, stderr: &str) -> Error {
        let kept = |text: &str| Kept { bytes: text.as_bytes().to_vec(), cut: false };
        failure(ExitStatus::from_raw(1 << 8), &kept(stdout), &kept(stderr))
    }

    #[test]
    fn an_error_object_is_told_in_its_own_words() {
        let error = said(r#"{"cniVersion":"1.0.0","code":7,"msg":"bad subnet","details":"line\n3"}"#, "noise");
        assert_eq!(error.to_string(), "bad subnet; line 3 (CNI error 7)");
        assert_eq!(error.kind(), Kind::FailedPrecondition);
        assert_eq!(said(r#"{"code":11,"msg":"busy"}"#, "").kind(), Kind::Unavailable);
    }

    #[test]
    fn without_one_it_is_what_was_printed_or_how_it_ended() {
        assert_eq!(said("", "panic: x\n").to_string(), "panic: x (exit status: 1)");
        assert_eq!(said("words", "").to_string(), "words (exit status: 1)");
        assert_eq!(said("", "").to_string(), "it failed without a word (exit status: 1)");
    }

    #[test]
    fn a_long_text_is_shown_by_its_end_and_controls_are_not() {
        let shown = plain(&format!("{}é the end\u{1b}[31m", "é".repeat(LONGEST)));
        assert!(shown.starts_with('…') && shown.ends_with("the end [31m") && shown.len() <= LONGEST + 3, "{shown}");
    }
}
