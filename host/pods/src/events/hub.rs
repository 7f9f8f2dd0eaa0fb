use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::mpsc;
use wharf_error::{Error, Kind, Result};

use super::{Event, EventKind};

/// Who listens, and what nobody has heard yet.
pub(crate) struct Hub {
    /// How many events wait for one that listens.
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listeners: Vec<Listener>,
    /// Ends that a new daemon found, before anybody could listen; they wait for the first who does.
    unheard: VecDeque<Arc<Event>>,
    /// Whether what recovery finds is over.
    recovered: bool,
    closed: bool,
}

struct Listener {
    events: mpsc::Sender<Arc<Event>>,
    overflowed: Arc<AtomicBool>,
}

/// Events from the moment of asking on, in the order in which they happened.
#[derive(Debug)]
pub struct Events {
    /// Heard before those that are sent.
    unheard: VecDeque<Arc<Event>>,
    events: mpsc::Receiver<Arc<Event>>,
    overflowed: Arc<AtomicBool>,
    capacity: usize,
}

// === impl Hub ===

impl Hub {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::default() }
    }

    /// The first who listens also hears of the ends that recovery has found.
    pub(crate) fn listen(&self) -> Events {
        let (sender, receiver) = mpsc::channel(self.capacity);
        let overflowed = Arc::new(AtomicBool::new(false));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let unheard = std::mem::take(&mut state.unheard);
        if !state.closed {
            state.listeners.retain(|listener| !listener.events.is_closed());
            state.listeners.push(Listener { events: sender, overflowed: overflowed.clone() });
        }
        Events { unheard, events: receiver, overflowed, capacity: self.capacity }
    }

    /// Tells everybody. `event` looks at the books under the hub's lock, so that a later event never shows an older
    /// state; it is not asked where nobody would hear.
    pub(crate) fn tell(&self, kind: EventKind, event: impl FnOnce() -> Option<Event>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.listeners.retain(|listener| !listener.events.is_closed());
        let keep = state.listeners.is_empty() && !state.recovered && kind == EventKind::Stopped;
        if state.listeners.is_empty() && !keep {
            return;
        }
        let Some(event) = event().map(Arc::new) else { return };
        if keep {
            // As many as there are records of pods and containers at most: each ends once.
            state.unheard.push_back(event);
            return;
        }
        state.listeners.retain(|listener| {
            let sent = listener.events.try_send(event.clone()).is_ok();
            if !sent {
                // Its stream ends behind what it has got: nothing is left out in the middle.
                listener.overflowed.store(true, Ordering::Release);
            }
            sent
        });
    }

    /// What the last daemon left has been looked at.
    pub(crate) fn recovered(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).recovered = true;
    }

    /// Every stream ends once it is read, and no new one begins.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.listeners.clear();
    }
}

// === impl Events ===

impl Events {
    /// The next event; waits for it as long as it takes. Dropping the future loses none. `None`: the daemon stops.
    ///
    /// # Errors
    ///
    /// `Exhausted`, as the last answer, where more happened than the reader took: what follows is lost to it, and it
    /// has to list what there is.
    pub async fn next(&mut self) -> Option<Result<Arc<Event>>> {
        if let Some(event) = self.unheard.pop_front() {
            return Some(Ok(event));
        }
        if let Some(event) = self.events.recv().await {
            return Some(Ok(event));
        }
        self.overflowed.swap(false, Ordering::AcqRel).then(|| {
            let what = format!("events: more than {} were waiting to be read, and later ones are lost", self.capacity);
            Err(Error::new(Kind::Exhausted, what).hint("list pods and containers, then ask for events again"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pod, events::EventKind::*};

    fn event(kind: EventKind, id: &str) -> Event {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "id": "p", "metadata": { "name": "n", "namespace": "n", "uid": "u", "attempt": 0 },
            "labels": {}, "annotations": {}, "runtime_handler": "", "log_directory": "",
            "sandbox": wharf_shim_api::SandboxOptions::default(), "created_at": 1, "pid": null, "request": "",
            "stage": "Made", "address": "", "owns_cgroup": true,
        }))
        .unwrap();
        Event { kind, id: id.into(), at: 0, pod, containers: Vec::new() }
    }

    fn tell(hub: &Hub, kind: EventKind, id: &str) {
        hub.tell(kind, || Some(event(kind, id)));
    }

    async fn heard(events: &mut Events) -> (EventKind, String) {
        let event = events.next().await.unwrap().unwrap();
        (event.kind, event.id.clone())
    }

    #[tokio::test]
    async fn everybody_hears_in_order_and_one_that_falls_behind_hears_that_it_did() {
        let hub = Hub::new(2);
        hub.recovered();
        hub.tell(Created, || panic!("nobody listens"));
        let (mut quick, mut slow) = (hub.listen(), hub.listen());
        for id in ["a", "b", "c"] {
            tell(&hub, Created, id);
            assert_eq!(heard(&mut quick).await, (Created, id.to_owned()));
        }
        assert_eq!(heard(&mut slow).await.1, "a");
        assert_eq!(heard(&mut slow).await.1, "b");
        assert_eq!(slow.next().await.unwrap().unwrap_err().kind(), Kind::Exhausted);
        assert!(slow.next().await.is_none());
        tell(&hub, Deleted, "a");
        assert_eq!(heard(&mut quick).await, (Deleted, "a".to_owned()));
        hub.close();
        assert!(quick.next().await.is_none());
        assert!(hub.listen().next().await.is_none());
    }

    #[tokio::test]
    async fn ends_that_recovery_finds_wait_for_the_first_who_listens() {
        let hub = Hub::new(1);
        tell(&hub, Stopped, "a");
        tell(&hub, Deleted, "b");
        tell(&hub, Stopped, "c");
        hub.recovered();
        tell(&hub, Stopped, "d");
        let mut first = hub.listen();
        let mut second = hub.listen();
        tell(&hub, Started, "e");
        for expected in [(Stopped, "a"), (Stopped, "c"), (Started, "e")] {
            assert_eq!(heard(&mut first).await, (expected.0, expected.1.to_owned()));
        }
        assert_eq!(heard(&mut second).await, (Started, "e".to_owned()));
    }
}
