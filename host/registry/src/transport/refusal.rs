use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};
use reqwest::Response;
use wharf_error::{Error, Kind};

use super::{Transport, body::explain};
use crate::fallback::{Doubt, Failure};

/// Why a host refused, in its own words, and whether it is worth asking again: after 408, 429 and what is the
/// server's own trouble, when it says by `Retry-After` or soon.
pub(crate) async fn refusal(transport: &Transport, response: Response, kind: Kind) -> Failure {
    let passing = matches!(response.status().as_u16(), 408 | 429 | 500 | 502 | 503 | 504);
    let wait = retry_after(response.headers(), SystemTime::now());
    let range = match response.status().as_u16() {
        405 | 416 | 501 => Doubt::Yes,
        400 | 403 => Doubt::Perhaps,
        _ => Doubt::No,
    };
    let error = Error::new(kind, explain(transport, response).await);
    Failure { again: passing.then(|| wait.unwrap_or_default()), range, ..error.into() }
}

/// How long a host wants to be left alone: a number of seconds, or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date() {
        let now = httpdate::parse_http_date("Thu, 26 Nov 2026 02:00:00 GMT").unwrap();
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Thu, 26 Nov 2026 02:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(wait("Thu, 26 Nov 2026 01:00:00 GMT"), Some(Duration::ZERO), "it is over");
        for nonsense in ["soon", "-1", "1.5", "", "99999999999999999999"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
