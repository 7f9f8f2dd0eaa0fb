use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_error::{Error, Kind, Result};

/// The uncompressed bytes that several layers, an image's, may have together: taken as they come, and given back by a
/// layer that is not kept.
#[derive(Debug)]
pub struct Budget {
    all: u64,
    left: Mutex<u64>,
}

// === impl Budget ===

impl Budget {
    /// So many bytes.
    pub fn new(bytes: u64) -> Self {
        Self { all: bytes, left: Mutex::new(bytes) }
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// `Exhausted` where fewer are left; nothing is taken then.
    pub(crate) fn take(&self, bytes: u64) -> Result<()> {
        let mut left = self.lock();
        *left = left.checked_sub(bytes).ok_or_else(|| {
            let text = format!("image: its layers have more than {} bytes uncompressed", self.all);
            Error::new(Kind::Exhausted, text).hint("raise max_image_bytes in [registry] of the configuration")
        })?;
        Ok(())
    }

    /// Gives back what a layer had taken ([`Unpacked::bytes`](crate::Unpacked::bytes)) that was unpacked and then
    /// removed. A layer that failed has done so itself.
    pub fn give_back(&self, bytes: u64) {
        let mut left = self.lock();
        *left = left.saturating_add(bytes).min(self.all);
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_missing_until_it_is_given_back() {
        let budget = Budget::new(10);
        budget.take(7).unwrap();
        assert_eq!(budget.take(4).unwrap_err().kind(), Kind::Exhausted);
        budget.take(3).unwrap();
        budget.give_back(7);
        assert!(budget.take(8).is_err());
        budget.give_back(u64::MAX);
        budget.take(10).unwrap();
    }
}
