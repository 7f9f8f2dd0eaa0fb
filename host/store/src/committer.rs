use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    database::{Database, panicked},
    error::again,
    overlay::Overlay,
    table::Lifetime,
    writer::Writer,
};

/// The one thread that writes to the durable file. Changes that arrive while it flushes share the next flush.
pub(crate) struct Committer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// One change: run on the writer's thread, it tells whom to call once it is committed.
/// `None`: it failed, was told so, and its changes are dropped.
type Job = Box<dyn FnOnce(Result<&mut Writer<'_>>) -> Option<Done> + Send>;

/// Whom to call with the result of the flush.
type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// Bounds the memory of one flush; the rest takes the next.
const LARGEST_BATCH: usize = 1024;

thread_local! {
    /// A write inside a write would wait for itself.
    static WRITING: Cell<bool> = const { Cell::new(false) };
}

// === impl Committer ===

impl Committer {
    /// Starts the thread.
    pub(crate) fn start(database: Arc<Database>) -> Result<Self> {
        let (sender, jobs) = mpsc::channel();
        let work = move || {
            while let Ok(first) = jobs.recv() {
                let mut batch: Vec<Job> = vec![first];
                batch.extend(jobs.try_iter().take(LARGEST_BATCH - 1));
                commit(&database, batch);
            }
        };
        let thread = thread::Builder::new().name("store-writer".into()).spawn(work);
        let thread = thread.step(|| "store: start the writer's thread".into())?;
        Ok(Self { jobs: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Queues a change; `done` is called on the writer's thread once it is flushed, or has failed.
    pub(crate) fn submit<R, F>(&self, change: F, done: impl FnOnce(Result<R>) + Send + 'static)
    where
        R: Send + 'static,
        F: FnOnce(&mut Writer<'_>) -> Result<R> + Send + 'static,
    {
        let job: Job = Box::new(move |writer| match writer.and_then(|writer| run(change, writer)) {
            Ok(value) => Some(Box::new(move |flushed| done(flushed.map(|()| value)))),
            Err(error) => {
                done(Err(error));
                None
            }
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // A job that cannot be sent is dropped with its `done`: whoever waits sees that nobody will answer.
        if let Some(jobs) = &*jobs {
            let _ = jobs.send(job);
        }
    }

    /// Queues a change and waits for it.
    pub(crate) fn write<R, F>(&self, change: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Writer<'_>) -> Result<R> + Send + 'static,
    {
        refuse_nested()?;
        let (sender, answer) = mpsc::sync_channel(1);
        self.submit(change, move |result| drop(sender.send(result)));
        answer.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Ends the thread after all that is queued.
    pub(crate) fn stop(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last store may be dropped by a closure that runs on this very thread.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// Runs one change at once, on this thread, and commits it: for the file that costs no flush. `turn` makes writers
/// wait for each other.
pub(crate) fn write_now<R>(
    turn: &Mutex<()>,
    database: &Arc<Database>,
    change: impl FnOnce(&mut Writer<'_>) -> Result<R>,
    committed: impl FnOnce(&Overlay),
) -> Result<R> {
    refuse_nested()?;
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let view = database.view()?;
    let nothing = Overlay::default();
    let mut writer = Writer::new(Lifetime::Crash, &view, &nothing);
    let value = run(change, &mut writer)?;
    let changes = writer.into_changes();
    drop(view);
    point!("store.crash.before");
    database.apply(&changes)?;
    point!("store.crash.after");
    committed(&changes);
    Ok(value)
}

/// The error of a store that is being closed.
pub(crate) fn stopped() -> Error {
    Error::new(Kind::Unavailable, "store: closed")
}

fn commit(database: &Arc<Database>, batch: Vec<Job>) {
    let view = match database.view() {
        Ok(view) => view,
        Err(error) => {
            for job in batch {
                job(Err(again(&error)));
            }
            return;
        }
    };
    let mut changes = Overlay::default();
    let mut waiting = Vec::new();
    for job in batch {
        let mut writer = Writer::new(Lifetime::Durable, &view, &changes);
        if let Some(done) = job(Ok(&mut writer)) {
            let own = writer.into_changes();
            changes.absorb(own);
            waiting.push(done);
        }
    }
    drop(view);
    point!("store.durable.before");
    let flushed = database.apply(&changes);
    point!("store.durable.after");
    for done in waiting {
        done(flushed.as_ref().map_err(again).copied());
    }
}

/// Runs a change; one that panics has failed like any other.
fn run<R>(change: impl FnOnce(&mut Writer<'_>) -> Result<R>, writer: &mut Writer<'_>) -> Result<R> {
    WRITING.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| change(writer)));
    WRITING.set(false);
    result.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

fn refuse_nested() -> Result<()> {
    match WRITING.get() {
        true => Err(Error::internal("store: a write inside a write")),
        false => Ok(()),
    }
}
