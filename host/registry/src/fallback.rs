use std::{future::Future, time::Duration};

use wharf_error::{Error, Kind, Result};

use crate::{ClientConfig, hosts::Endpoint};

/// Tries the endpoints in order until one answers.
///
/// A mirror that fails is passed over at once; the last host, behind which there is nothing, is asked again after
/// a pause where its trouble may pass: it is busy, broke off, or is not up at this moment. The error lists each host and
/// why it failed, with the last one's kind.
pub(crate) async fn first<'a, T, F, R>(
    config: &ClientConfig,
    what: &str,
    patience: Patience,
    endpoints: Vec<&'a Endpoint>,
    mut attempt: F,
) -> Result<T>
where
    F: FnMut(&'a Endpoint) -> R,
    R: Future<Output = Result<T, Failure>>,
{
    let mut endpoints = endpoints.into_iter().peekable();
    let mut failures: Vec<(String, Error)> = Vec::new();
    while let Some(endpoint) = endpoints.next() {
        let is_last = endpoints.peek().is_none();
        let mut retry = 0;
        let error = loop {
            match attempt(endpoint).await {
                Ok(answer) => return Ok(answer),
                Err(Failure { error, again: Some(wait), refused, .. })
                    if is_last && retry < tries(config, patience, refused) =>
                {
                    if wait > MAX_WAIT {
                        break error.hint(format!("it wants to be left alone for {} s", wait.as_secs()));
                    }
                    let wait = wait.max(pause(config, retry));
                    tracing::debug!(host = endpoint.name(), %error, ?wait, "{what}: will be asked again");
                    tokio::time::sleep(wait).await;
                    retry += 1;
                }
                Err(failure) => break failure.error,
            }
        };
        tracing::debug!(host = endpoint.name(), %error, "{what}: host failed");
        failures.push((endpoint.name(), error));
    }
    Err(all_failed(what, failures))
}

fn tries(config: &ClientConfig, patience: Patience, refused: bool) -> u32 {
    match (patience, refused) {
        (Patience::WithTheBusy, true) => config.retries.min(REFUSALS),
        _ => config.retries,
    }
}

/// The pause before retry number `retry`, counted from 0.
pub(crate) fn pause(config: &ClientConfig, retry: u32) -> Duration {
    config.backoff.saturating_mul(1 << retry.min(6)).min(Duration::from_secs(10))
}

/// Who wants to be left alone for longer is not waited for: whoever asked comes again.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How often a host that nothing was heard of yet is asked again after it refused the connection.
const REFUSALS: u32 = 2;

/// For whom the last host is worth some time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// One that is busy or breaks off. Behind a connection that is refused there is nobody, most often: a wrong port must
    /// not take long.
    WithTheBusy,
    /// Also one that refuses: it was there a moment ago, and is being restarted.
    WithTheAbsent,
}

/// Why one host could not answer.
pub(crate) struct Failure {
    pub error: Error,
    /// Whether the same host may answer when it is asked again, and after what time it wants to be.
    pub again: Option<Duration>,
    /// Whether it refused the connection.
    pub refused: bool,
    /// Whether it was asked by TLS and does not speak that.
    pub no_tls: bool,
    /// Whether it is the range that it does not know what to do with, where one was asked for.
    pub range: Doubt,
}

/// Whether something is the cause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Doubt {
    No,
    /// It may be.
    Perhaps,
    Yes,
}

// === impl Failure ===

impl Failure {
    /// Says what was being done.
    pub fn step(self, what: impl FnOnce() -> String) -> Self {
        Self { error: Error::new(self.error.kind(), what()).because(self.error), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: None, refused: false, no_tls: false, range: Doubt::No }
    }
}

/// One error for all hosts that failed.
pub(crate) fn all_failed(what: &str, mut failures: Vec<(String, Error)>) -> Error {
    match failures.len() {
        0 => Error::new(Kind::FailedPrecondition, format!("{what}: no host may be asked for it"))
            .hint("see the capabilities in the registry's hosts.toml"),
        1 => {
            let (host, error) = failures.remove(0);
            Error::new(error.kind(), format!("{what} at {host}")).because(error)
        }
        _ => {
            let kind = failures.last().map_or(Kind::Unavailable, |(_, error)| error.kind());
            let list: Vec<String> = failures.into_iter().map(|(host, error)| format!("{host}: {error}")).collect();
            Error::new(kind, format!("{what}: no host could answer: {}", list.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn who_refuses_is_asked_again_for_long_only_where_he_was_there() {
        let config = ClientConfig { retries: 7, backoff: Duration::ZERO, ..ClientConfig::default() };
        let endpoints = crate::hosts::load("/does/not/exist".as_ref(), "r.example").unwrap();
        for (patience, refused, expected) in [
            (Patience::WithTheBusy, true, 3),
            (Patience::WithTheBusy, false, 8),
            (Patience::WithTheAbsent, true, 8),
            (Patience::WithTheAbsent, false, 8),
        ] {
            let asked = Cell::new(0);
            let answer: Result<()> = first(&config, "ask", patience, endpoints.iter().collect(), |_| {
                asked.set(asked.get() + 1);
                let error = Error::new(Kind::Unavailable, "no");
                async move { Err(Failure { again: Some(Duration::ZERO), refused, ..error.into() }) }
            })
            .await;
            assert!(answer.is_err());
            assert_eq!(asked.get(), expected, "{patience:?}, {refused}");
        }
    }
}
