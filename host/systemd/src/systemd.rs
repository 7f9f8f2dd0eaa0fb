use std::{sync::Arc, time::Duration};

use oci_spec::runtime::LinuxResources;
use tokio::sync::RwLock;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_steps::step;

use crate::{Scope, Slice, bus::Writer, limits, manager::Manager};

/// systemd, as far as control groups go. Cheap to clone; nothing is held open.
///
/// Every call ends at the deadline at the latest, as `DeadlineExceeded`; `Unavailable` where systemd is not to be spoken to. A
/// call whose caller goes away may still be carried out.
#[derive(Clone, Debug)]
pub struct Systemd {
    deadline: Duration,
    /// Held for writing while a slice is ended that was seen empty: no scope of ours comes into it then.
    slices: Arc<RwLock<()>>,
}

impl Systemd {
    /// `deadline`: how long any one call may take.
    pub fn new(deadline: Duration) -> Self {
        Self { deadline, slices: Arc::default() }
    }

    /// systemd's own version, by which it is known that it answers.
    pub async fn version(&self) -> Result<String> {
        let what = || "ask systemd for its version".to_owned();
        self.within(what(), async { Manager::connect().await?.version().await }).await
    }

    /// Makes a scope and waits until its control group is there and its process in it.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` with systemd's own words where it refuses.
    pub async fn start_scope(&self, scope: &Scope) -> Result<()> {
        let _slices = self.locked("wait until no slice is ended", self.slices.read()).await?;
        self.within(format!("have systemd start {}", scope.unit), async {
            let mut manager = Manager::connect().await?;
            let body = |body: &mut Writer| {
                body.string(&scope.unit);
                body.string("fail");
                body.properties(&scope.properties());
                // No units beside it.
                body.array(8, |_| {});
            };
            manager.job("StartTransientUnit", "ssa(sv)a(sa(sv))", body).await
        })
        .await
    }

    /// Ends a unit, and its processes where there are any left, and waits for that. One that is not there is success.
    pub async fn stop(&self, unit: &str) -> Result<()> {
        self.within(format!("have systemd stop {unit}"), async {
            stop(&mut Manager::connect().await?, unit, "replace").await
        })
        .await
    }

    /// Ends a slice, and those above it, as far as they are there only because units were put into them, and no unit is in them
    /// any more. One that somebody has written, as the kubelet does its own, stays.
    pub async fn stop_idle(&self, slice: &Slice) -> Result<()> {
        let what = || format!("have systemd stop {slice} if it is empty");
        // Most are a kubelet's: the lock is for those that are not.
        if !self.within(what(), async { first_idle(&mut Manager::connect().await?, slice).await }).await? {
            return Ok(());
        }
        let _slices = self.locked("wait until no scope is made", self.slices.write()).await?;
        self.within(what(), async {
            let mut manager = Manager::connect().await?;
            for unit in slice.upwards() {
                match is_idle(&mut manager, &unit).await? {
                    Some(true) => stop(&mut manager, &unit, "fail").await?,
                    Some(false) => break,
                    None => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// Sets the limits of a unit that are present, as far as systemd knows them, until the unit's end: those it would set
    /// back when it is reloaded.
    pub async fn set_limits(&self, unit: &str, resources: &LinuxResources) -> Result<()> {
        let properties = limits::properties(resources).step(|| format!("limits of {unit}"))?;
        if properties.is_empty() {
            return Ok(());
        }
        self.within(format!("have systemd set limits of {unit}"), async {
            let body = |body: &mut Writer| {
                body.string(unit);
                // Until its end, and in no file of systemd's for the next boot.
                body.bool(true);
                body.properties(&properties);
            };
            Manager::connect().await?.call("SetUnitProperties", "sba(sv)", body).await
        })
        .await
    }

    /// A lock of ours. Of what holds it a deadline ends every call.
    async fn locked<T>(&self, what: &'static str, lock: impl Future<Output = T>) -> Result<T> {
        let locked = step(|| what.to_owned(), tokio::time::timeout(self.deadline, lock)).await;
        locked.map_err(|_| {
            let late = format!("{what}: not within {} s", self.deadline.as_secs());
            Error::new(Kind::DeadlineExceeded, late).hint("look at `systemctl list-jobs`")
        })
    }

    async fn within<T>(&self, what: String, work: impl Future<Output = Result<T>>) -> Result<T> {
        let name = what.clone();
        match step(move || name.clone(), tokio::time::timeout(self.deadline, work)).await {
            Ok(done) => done.step(|| what),
            Err(_) => {
                let late = format!("{what}: no answer within {} s", self.deadline.as_secs());
                Err(Error::new(Kind::DeadlineExceeded, late).hint("look at `systemctl list-jobs` and at process 1"))
            }
        }
    }
}

/// Whether the lowest of a slice and those above that is there is idle.
async fn first_idle(manager: &mut Manager, slice: &Slice) -> Result<bool> {
    for unit in slice.upwards() {
        if let Some(idle) = is_idle(manager, &unit).await? {
            return Ok(idle);
        }
    }
    Ok(false)
}

/// Whether nobody wrote it, and nothing is in it; none: it is not there.
async fn is_idle(manager: &mut Manager, slice: &str) -> Result<Option<bool>> {
    match manager.written_and_needed(slice).await {
        Ok((written, needed)) => Ok(Some(written.is_empty() && needed.is_empty())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// One that is not there is success.
async fn stop(manager: &mut Manager, unit: &str, mode: &str) -> Result<()> {
    let body = |body: &mut Writer| {
        body.string(unit);
        body.string(mode);
    };
    match manager.job("StopUnit", "ss", body).await {
        Err(error) if error.is_not_found() => Ok(()),
        stopped => stopped,
    }
}
