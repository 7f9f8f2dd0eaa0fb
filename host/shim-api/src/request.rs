use std::time::Duration;

use ttrpc::{asynchronous::TtrpcContext, context::Context};

/// The metadata key of the request that a call is made for; it appears in the shim's log lines.
pub const REQUEST_ID_KEY: &str = "wharf-request-id";

/// The context of one call: after `timeout` the caller gets `DeadlineExceeded`; what the shim has begun
/// goes on there. A zero timeout waits for ever (for `Wait` alone).
pub fn call(timeout: Duration, request_id: &str) -> Context {
    let mut context =
        Context { timeout_nano: i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX), ..Context::default() };
    if !request_id.is_empty() {
        context.add(REQUEST_ID_KEY.to_owned(), request_id.to_owned());
    }
    context
}

/// The request that a served call belongs to; empty when the caller did not say.
pub fn request_id(context: &TtrpcContext) -> &str {
    context.metadata.get(REQUEST_ID_KEY).and_then(|values| values.first()).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_carries_deadline_and_request() {
        let context = call(Duration::from_millis(5), "r-1");
        assert_eq!(context.timeout_nano, 5_000_000);
        assert_eq!(context.metadata[REQUEST_ID_KEY], ["r-1"]);
        assert!(call(Duration::ZERO, "").metadata.is_empty());
    }
}
