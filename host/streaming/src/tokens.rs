use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rand::Rng as _;
use wharf_error::{Error, Kind, Result};

/// URLs that may wait for their clients at once.
const MOST: usize = 1000;

/// Requests that wait for their clients, each under a token that is good once.
pub(crate) struct Tokens<T> {
    lifetime: Duration,
    waiting: Mutex<HashMap<String, (Instant, T)>>,
}

// === impl Tokens ===

impl<T> Tokens<T> {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, waiting: Mutex::default() }
    }

    /// Keeps a request; its token. `Exhausted` when too many wait already.
    pub(crate) fn keep(&self, request: T) -> Result<String> {
        let mut bytes = [0u8; 16];
        rand::rng().fill_bytes(&mut bytes);
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let now = Instant::now();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST {
            waiting.retain(|_, (kept, _)| now.duration_since(*kept) < self.lifetime);
        }
        if waiting.len() >= MOST {
            let what = format!("streaming: {MOST} clients have not yet come for their streams");
            return Err(Error::new(Kind::Exhausted, what).hint("try again in a minute"));
        }
        waiting.insert(token.clone(), (now, request));
        Ok(token)
    }

    /// Takes a request out; none for a token that is unknown, used, or too old.
    pub(crate) fn take(&self, token: &str) -> Option<T> {
        let (kept, request) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(token)?;
        (kept.elapsed() < self.lifetime).then_some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_and_not_for_ever() {
        let tokens = Tokens::new(Duration::from_secs(60));
        let token = tokens.keep(1).unwrap();
        assert_eq!(token.len(), 32);
        assert_ne!(token, tokens.keep(2).unwrap());
        assert_eq!(tokens.take("guess"), None);
        assert_eq!(tokens.take(&token), Some(1));
        assert_eq!(tokens.take(&token), None);
        let old = Tokens::new(Duration::ZERO);
        let token = old.keep(1).unwrap();
        assert_eq!(old.take(&token), None);
    }

    #[test]
    fn there_are_never_too_many() {
        let tokens = Tokens::new(Duration::from_secs(60));
        for n in 0..MOST {
            tokens.keep(n).unwrap();
        }
        assert_eq!(tokens.keep(0).unwrap_err().kind(), Kind::Exhausted);
        let old = Tokens::new(Duration::ZERO);
        for n in 0..3 * MOST {
            old.keep(n).unwrap();
        }
    }
}
