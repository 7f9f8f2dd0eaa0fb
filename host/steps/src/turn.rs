use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::{Steps, step};

/// A lock that operations hold for long: who waits for it hears what the one that has it is at.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    lock: Arc<tokio::sync::Mutex<()>>,
    holder: Arc<Mutex<Option<Steps>>>,
}

/// The turn, until it is dropped.
#[derive(Debug)]
pub struct TurnGuard {
    holder: Arc<Mutex<Option<Steps>>>,
    // After the holder's name is taken out.
    _lock: OwnedMutexGuard<()>,
}

// === impl Turn ===

impl Turn {
    /// Waits for the turn, as a step of its own. Cancelling it gives the place in the queue up.
    pub async fn take(&self) -> TurnGuard {
        let lock = match self.lock.clone().try_lock_owned() {
            Ok(lock) => lock,
            Err(_) => {
                let holder = self.holder.clone();
                let name = move || match held_by(&holder) {
                    Some(steps) => format!("wait for the end of another call ({})", steps.now()),
                    None => "wait for the end of another call".into(),
                };
                step(name, self.lock.clone().lock_owned()).await
            }
        };
        // Outside of any account it has no name; whoever waits knows only that.
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = Steps::current();
        TurnGuard { holder: self.holder.clone(), _lock: lock }
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn held_by(holder: &Mutex<Option<Steps>>) -> Option<Steps> {
    holder.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_waits_hears_what_the_holder_is_at() {
        let turn = Turn::default();
        let (first, second) = (Steps::new("create container c"), Steps::new("stop pod sandbox p"));
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let (held, taken) = tokio::sync::oneshot::channel::<()>();
        let (theirs, account) = (turn.clone(), first.clone());
        let holder = tokio::spawn(async move {
            let hold = async {
                let _turn = theirs.take().await;
                held.send(()).unwrap();
                step(|| "make /mnt/data".into(), gate).await.unwrap();
            };
            account.scope(hold).await;
        });
        taken.await.unwrap();
        let waiting = second.scope(turn.take());
        let mut waiting = std::pin::pin!(waiting);
        let error = second.wait(Duration::from_millis(20), &mut waiting).await.unwrap_err().to_string();
        let expected = "stop pod sandbox p: wait for the end of another call (create container c: make /mnt/data (";
        assert!(error.starts_with(expected), "{error}");
        open.send(()).unwrap();
        let turn = waiting.await;
        holder.await.unwrap();
        drop(turn);
    }
}
