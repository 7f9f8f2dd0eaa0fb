use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use wharf_error::{Error, Kind, Result};

use crate::open::{Name, Open};

tokio::task_local! {
    static CURRENT: Steps;
}

/// The account of one operation. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Steps(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The operation and its object, as an error begins: `create container ID`.
    what: String,
    open: Open,
}

/// Runs `work` as a step with this name, `object: step` as an error has it. `name` is called only when somebody asks.
///
/// Steps may be nested and run side by side: those that are open are told, the oldest first.
pub async fn step<T>(name: impl Fn() -> String + Send + 'static, work: impl Future<Output = T>) -> T {
    let Ok(steps) = CURRENT.try_with(Clone::clone) else { return work.await };
    let _open = steps.0.open.begin(Name::Own(Box::new(name)));
    work.await
}

/// As [`step`], on a thread that may block: below [`Steps::enter`].
pub fn step_blocking<T>(name: impl Fn() -> String + Send + 'static, work: impl FnOnce() -> T) -> T {
    let Ok(steps) = CURRENT.try_with(Clone::clone) else { return work() };
    let _open = steps.0.open.begin(Name::Own(Box::new(name)));
    work()
}

// === impl Steps ===

impl Steps {
    /// An account of an operation on an object: `stop pod sandbox ID`.
    pub fn new(what: impl Into<String>) -> Self {
        Self(Arc::new(Inner { what: what.into(), open: Open::new() }))
    }

    /// The account that this task writes to.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `work` with every step of it in this account.
    pub async fn scope<T>(&self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), work).await
    }

    /// The same for work on a thread that may block.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    /// What the operation is at, for people: `create container ID: write the container's bundle (2.1s)`. Between two
    /// steps it is the operation alone.
    pub fn now(&self) -> String {
        match (self.0.what.as_str(), self.0.open.told()) {
            (what, None) => what.to_owned(),
            ("", Some(step)) => step,
            (what, Some(step)) => format!("{what}: {step}"),
        }
    }

    /// Waits for the outcome of this operation: in the waiter's own account, what it is at is what is waited for.
    pub async fn follow<T>(&self, outcome: impl Future<Output = T>) -> T {
        let Ok(waiter) = CURRENT.try_with(Clone::clone) else { return outcome.await };
        let _open = waiter.0.open.begin(Name::Of(self.clone()));
        outcome.await
    }

    /// As [`Steps::follow`], no longer than `patience` for any one step.
    ///
    /// A step that began before this wait has the whole patience from now: a retry waits as the first call did.
    ///
    /// # Errors
    ///
    /// `DeadlineExceeded` with the name of the step that takes longer. The operation goes on.
    pub async fn wait<T>(&self, patience: Duration, outcome: impl Future<Output = T>) -> Result<T> {
        self.follow(async {
            tokio::select! {
                biased;
                outcome = outcome => Ok(outcome),
                () = self.overdue(patience) => Err(self.late()),
            }
        })
        .await
    }

    /// That the operation takes longer than somebody waits.
    pub fn late(&self) -> Error {
        Error::new(Kind::DeadlineExceeded, format!("{}; it goes on", self.now()))
            .hint("the same call again joins it, and succeeds once what holds it up is gone")
    }

    async fn overdue(&self, patience: Duration) {
        let begin = Instant::now();
        loop {
            // A step that begins meanwhile has its whole patience, so that there is nothing to see before.
            let took = self.0.open.since().map_or(Duration::ZERO, |since| since.max(begin).elapsed());
            match patience.saturating_sub(took) {
                Duration::ZERO => return,
                left => tokio::time::sleep(left).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn open_steps_are_told() {
        let steps = Steps::new("create container c");
        assert_eq!(steps.now(), "create container c");
        let (outer, seen) = (steps.clone(), steps.clone());
        let told = steps
            .scope(async {
                step(|| "a".into(), async {}).await;
                step(|| "write its bundle".into(), step(|| "inner".into(), async { seen.now() })).await
            })
            .await;
        assert!(told.starts_with("create container c: write its bundle (0.0s), inner (0.0s)"), "{told}");
        assert_eq!(outer.now(), "create container c", "it has ended");
        step(|| "outside".into(), async {}).await;
        let blocking = steps.enter(|| step_blocking(|| "resolve /mnt".into(), || steps.now()));
        assert_eq!(blocking, "create container c: resolve /mnt (0.0s)");
    }

    #[tokio::test]
    async fn a_step_that_is_cut_off_is_not_open() {
        let steps = Steps::new("");
        let waiter = Steps::new("pull");
        let asked = waiter.clone();
        steps.scope(waiter.follow(async { assert_eq!(Steps::current().unwrap().now(), asked.now()) })).await;
        let cut = steps.scope(step(|| "hang".into(), pending::<()>()));
        assert!(tokio::time::timeout(Duration::from_millis(1), cut).await.is_err());
        assert_eq!(steps.now(), "");
    }

    #[tokio::test]
    async fn who_waits_too_long_for_one_step_hears_its_name_and_it_goes_on() {
        let steps = Steps::new("stop pod sandbox p");
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let work = steps.clone();
        let running =
            tokio::spawn(async move { work.scope(step(|| "kill".into(), async { gate.await.is_ok() })).await });
        let mut running = std::pin::pin!(running);
        let error = steps.wait(Duration::from_millis(30), &mut running).await.unwrap_err();
        assert_eq!(error.kind(), Kind::DeadlineExceeded);
        assert!(error.to_string().starts_with("stop pod sandbox p: kill (0."), "{error}");
        let again = steps.wait(Duration::from_millis(30), &mut running).await;
        assert_eq!(again.unwrap_err().kind(), Kind::DeadlineExceeded, "a retry waits, and hears the same");
        open.send(()).unwrap();
        assert!(steps.wait(Duration::from_secs(60), running).await.unwrap().unwrap(), "then it succeeds");
    }
}
