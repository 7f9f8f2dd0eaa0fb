use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Notify, watch};
use wharf_cgroups::Hierarchies;
use wharf_error::{Error, Result};
use wharf_shim_api::OtherShim;

use crate::{
    args::Args,
    container::Container,
    engine::{OtherRecord, Server, Start, end_other, other_folder},
    events::Publisher,
    logs::Logs,
    reaper::Reaper,
    record::{ContainerRecord, Record, RecordFile},
    sandbox::Sandbox,
    start::socket_of,
};

/// Everything that one shim knows.
pub struct Shim {
    pub namespace: String,
    pub id: String,
    bundle: PathBuf,
    /// Our own socket.
    socket: PathBuf,
    /// The daemon's socket.
    address: String,
    pub events: Publisher,
    pub logs: Arc<Logs>,
    pub reaper: Arc<Reaper>,
    pub record: RecordFile,
    /// Told once everything is taken down.
    pub finished: Notify,
    /// Told when a container's making has come to an end.
    settled: watch::Sender<()>,
    /// One change of the sandbox's life at a time.
    pub life: tokio::sync::Mutex<()>,
    sandbox: Mutex<Option<Arc<Sandbox>>>,
    containers: Mutex<HashMap<String, Slot>>,
    hierarchies: OnceLock<Hierarchies>,
    /// The one that works for us, once there is need of it.
    other: Mutex<Option<Arc<Server>>>,
    owners: AtomicU64,
}

/// A container's place: taken while it is being made.
enum Slot {
    Making,
    There(Arc<Container>),
}

/// A name that is taken until the container is there or its making has failed.
pub struct Place {
    shim: Arc<Shim>,
    id: String,
}

// === impl Shim ===

impl Shim {
    /// Must be called inside the runtime: starts the delivery of events.
    pub fn new(args: &Args) -> Self {
        let reaper = Arc::<Reaper>::default();
        Self {
            namespace: args.namespace.clone(),
            id: args.id.clone(),
            bundle: args.bundle.clone(),
            socket: socket_of(args),
            address: args.address.clone(),
            events: Publisher::start(args, &reaper),
            logs: Arc::default(),
            reaper,
            record: RecordFile::new(&args.bundle),
            finished: Notify::new(),
            settled: watch::Sender::new(()),
            life: tokio::sync::Mutex::default(),
            sandbox: Mutex::default(),
            containers: Mutex::default(),
            hierarchies: OnceLock::new(),
            other: Mutex::default(),
            owners: AtomicU64::new(1),
        }
    }

    pub fn sandbox(&self) -> Option<Arc<Sandbox>> {
        self.sandbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_sandbox(&self, sandbox: Option<Arc<Sandbox>>) {
        *self.sandbox.lock().unwrap_or_else(PoisonError::into_inner) = sandbox;
    }

    /// Takes the name of a container that is about to be made.
    pub fn reserve(self: &Arc<Self>, id: &str) -> Result<Place> {
        if id.is_empty() || id.contains('/') {
            return Err(Error::invalid(format!("container id `{id}`: not a name")));
        }
        let mut containers = self.slots();
        if containers.contains_key(id) {
            return Err(Error::new(wharf_error::Kind::AlreadyExists, format!("container {id} exists")));
        }
        containers.insert(id.to_owned(), Slot::Making);
        Ok(Place { shim: self.clone(), id: id.to_owned() })
    }

    pub fn container(&self, id: &str) -> Result<Arc<Container>> {
        match self.slots().get(id) {
            Some(Slot::There(container)) => Ok(container.clone()),
            Some(Slot::Making) | None => Err(Error::not_found("container", id)),
        }
    }

    pub fn containers(&self) -> Vec<Arc<Container>> {
        let there = |slot: &Slot| match slot {
            Slot::There(container) => Some(container.clone()),
            Slot::Making => None,
        };
        self.slots().values().filter_map(there).collect()
    }

    /// The container, once it is clear whether there is one: a making that is under way is waited for, which the runtime
    /// ends in time. Who asked for it may have died meanwhile, and the one who asks now has to know what came of it.
    pub async fn settled_container(&self, id: &str) -> Result<Arc<Container>> {
        let mut settled = self.settled.subscribe();
        while matches!(self.slots().get(id), Some(Slot::Making)) {
            // The sender is ours, so the channel cannot close.
            let _ = settled.changed().await;
        }
        self.container(id)
    }

    /// Whether no container is there or being made.
    pub fn is_empty(&self) -> bool {
        self.slots().is_empty()
    }

    /// Waits until no container is there or being made, or one that was being made is there. False when it is the latter.
    pub async fn settled_empty(&self) -> bool {
        let mut settled = self.settled.subscribe();
        loop {
            {
                let slots = self.slots();
                if slots.is_empty() || slots.values().any(|slot| matches!(slot, Slot::There(_))) {
                    return slots.is_empty();
                }
            }
            let _ = settled.changed().await;
        }
    }

    pub fn forget(&self, id: &str) {
        self.slots().remove(id);
    }

    /// This node's cgroups, looked at once. Blocks the first time.
    pub fn hierarchies(&self) -> Result<&Hierarchies> {
        if let Some(known) = self.hierarchies.get() {
            return Ok(known);
        }
        let found = Hierarchies::detect()?;
        Ok(self.hierarchies.get_or_init(|| found))
    }

    /// Writes down a container that is about to be made. One whose bundle is not below ours has a record of its own there:
    /// under containerd, `delete` is asked for each bundle by itself, and ours may go before it.
    pub fn record_container(&self, id: &str, container: ContainerRecord) -> Result<()> {
        let apart = RecordFile::new(&container.bundle);
        let record = if container.bundle.starts_with(&self.bundle) { &self.record } else { &apart };
        record.update(|all| drop(all.containers.insert(id.to_owned(), container)))
    }

    /// Nothing of a container is left to be taken away.
    pub fn forget_record(&self, id: &str, bundle: &Path) -> Result<()> {
        if bundle.starts_with(&self.bundle) {
            self.record.update(|all| drop(all.containers.remove(id)))
        } else {
            Record::remove(bundle)
        }
    }

    /// The shim that works for us, started at the first need of it or after it has died. Blocks.
    pub fn other(&self, program: &OtherShim, annotations: Option<&HashMap<String, String>>) -> Result<Arc<Server>> {
        let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = other.as_ref().filter(|there| there.program() == program && !there.has_ended()) {
            return Ok(there.clone());
        }
        let bundle = other_folder(&self.bundle);
        let record = OtherRecord { bundle, namespace: self.namespace.clone(), ..OtherRecord::default() };
        self.record.update(|all| all.other = Some(record.clone()))?;
        let started = Server::start(&Start {
            program,
            id: &self.id,
            namespace: &self.namespace,
            address: &self.address,
            events: &self.socket,
            bundle: &self.bundle,
            annotations,
        });
        let server = match started {
            Ok(server) => Arc::new(server),
            Err(error) => {
                if let Err(left) = end_other(&record, &self.id) {
                    tracing::error!(error = %left, "something of another shim is left");
                }
                return Err(error);
            }
        };
        self.record.update(|all| all.other = Some(server.record().clone()))?;
        *other = Some(server.clone());
        Ok(server)
    }

    /// Ends the one that works for us, if there is one. Blocks.
    pub fn end_other(&self) -> Result<()> {
        let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = other.as_ref() {
            server.shut_down()?;
        }
        *other = None;
        self.record.update(|all| all.other = None)
    }

    /// A number for the log sources of a new process.
    pub fn new_owner(&self) -> u64 {
        self.owners.fetch_add(1, Ordering::Relaxed)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    pub fn fill(self, container: Arc<Container>) {
        self.shim.slots().insert(self.id.clone(), Slot::There(container));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut slots = self.shim.slots();
        if matches!(slots.get(&self.id), Some(Slot::Making)) {
            slots.remove(&self.id);
        }
        self.shim.settled.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_asks_for_a_container_that_is_being_made_hears_what_came_of_it() {
        let bundle = tempfile::tempdir().unwrap();
        let shim = Arc::new(Shim::new(&Args { bundle: bundle.path().into(), ..Args::default() }));
        assert!(shim.settled_container("web").await.err().unwrap().is_not_found());
        let place = shim.reserve("web").unwrap();
        assert!(shim.container("web").err().unwrap().is_not_found());
        let asked = shim.clone();
        let mut waiting = tokio::spawn(async move { asked.settled_container("web").await.err() });
        let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
        assert!(early.is_err(), "it was answered before it was clear");
        drop(place);
        assert!(waiting.await.unwrap().unwrap().is_not_found(), "its making failed");
        assert!(shim.settled_empty().await);
    }
}
