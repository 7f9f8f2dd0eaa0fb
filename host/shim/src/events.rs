//! Events to the daemon: best effort, in order, never in anybody's way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, time::sleep};
use wharf_shim_api::{
    TaskEvent, call, connect,
    events::{EventsClient, ForwardRequest},
};

use crate::{args::Args, logs::now_nanos, publish::Program, reaper::Reaper};

/// How many may wait for the daemon. What does not fit is dropped: a daemon that was away that long asks
/// every shim for the state of its containers anyway.
const QUEUE: usize = 256;

/// How long the daemon may take for one.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Pauses between the tries to deliver one; after the last it is dropped.
const RETRIES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

/// Hands events over without waiting.
pub struct Publisher {
    namespace: String,
    queue: mpsc::Sender<ForwardRequest>,
    dropped: AtomicU64,
}

enum Sender {
    /// To a ttrpc socket.
    Socket { address: String, client: Option<EventsClient> },
    /// By the daemon's own program.
    Program(Program),
}

// === impl Publisher ===

impl Publisher {
    /// Starts the delivery to the daemon's socket for events, or by its program where there is none. With neither, events
    /// go nowhere.
    pub fn start(args: &Args, reaper: &Arc<Reaper>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let sender = match args.events_address() {
            Some(address) => {
                let address = if address.contains("://") { address } else { format!("unix://{address}") };
                Some(Sender::Socket { address, client: None })
            }
            None => Program::of(args, reaper).map(Sender::Program),
        };
        if let Some(sender) = sender {
            tokio::spawn(sender.run(waiting));
        }
        Self { namespace: args.namespace.clone(), queue, dropped: AtomicU64::new(0) }
    }

    /// Queues an event. The queue keeps the order.
    pub fn publish(&self, event: &TaskEvent) {
        match event.forward(&self.namespace, now_nanos()) {
            Err(error) => tracing::warn!(%error, "an event was not encoded"),
            Ok(request) => match self.queue.try_send(request) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
                Err(mpsc::error::TrySendError::Full(_)) => {
                    let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
                    tracing::warn!(
                        dropped,
                        container = event.container_id(),
                        "the daemon is away, an event was dropped"
                    );
                }
            },
        }
    }
}

// === impl Sender ===

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<ForwardRequest>) {
        while let Some(request) = waiting.recv().await {
            let mut pauses = RETRIES.iter();
            while let Err(error) = self.forward(&request).await {
                if let Self::Socket { client, .. } = &mut self {
                    *client = None;
                }
                let Some(pause) = pauses.next() else {
                    tracing::warn!(topic = request.envelope.topic, %error, "an event was not delivered");
                    break;
                };
                sleep(*pause).await;
            }
        }
    }

    async fn forward(&mut self, request: &ForwardRequest) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (address, client) = match self {
            Self::Socket { address, client } => (address, client),
            Self::Program(program) => return Ok(program.publish(request).await?),
        };
        let client = match client {
            Some(client) => client,
            None => client.insert(EventsClient::new(connect(address).await?)),
        };
        client.forward(call(TIMEOUT, ""), request).await?;
        Ok(())
    }
}
