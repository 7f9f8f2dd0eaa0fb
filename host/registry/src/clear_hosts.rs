use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use crate::hosts::Origin;

const MAX_ENTRIES: usize = 1024;

/// The hosts that may speak either and were found to speak plain http: so that not each request begins with TLS.
#[derive(Default)]
pub(crate) struct ClearHosts(Mutex<HashSet<Origin>>);

// === impl ClearHosts ===

impl ClearHosts {
    pub fn has(&self, secure: &Origin) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(secure)
    }

    pub fn add(&self, secure: &Origin) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MAX_ENTRIES {
            hosts.clear();
        }
        hosts.insert(secure.clone());
    }

    pub fn remove(&self, secure: &Origin) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(secure);
    }
}
