use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant, SystemTime},
};

use wasmtime::{Store, Trap, UpdateDeadline};
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result};

use crate::{
    Call, LayerFacts, Limits,
    bindings::{Snapshotter as Instance, SnapshotterPre},
    book::Book,
    contract::{Fault, FaultError},
    engines::Engines,
    power::LayerDir,
    state::{Over, State, Until},
    voice::Voice,
};

/// Data that one call may pass from the guest to the host: plans and labels have kilobytes.
const HOSTCALL_BYTES: usize = 16 << 20;

/// A plugin of which an instance can be made for each call.
pub(crate) struct Callable {
    pub(crate) name: Arc<str>,
    pub(crate) config: Arc<str>,
    pub(crate) limits: Limits,
    /// Linked with the powers that it has.
    pub(crate) pre: SnapshotterPre<State>,
    pub(crate) layer_dir: Option<Arc<LayerDir>>,
    pub(crate) house: Arc<House>,
}

/// What all plugins of a process share.
pub(crate) struct House {
    pub(crate) engines: Engines,
    pub(crate) book: Book,
    /// Once true, calls under way are stopped and new ones refused.
    pub(crate) stopping: Arc<AtomicBool>,
}

/// Which function is called, about what.
pub(crate) struct Question<'a> {
    pub(crate) function: &'static str,
    pub(crate) layer: Option<&'a LayerFacts>,
    /// Where there are no facts, but an id.
    pub(crate) id: Option<u64>,
}

/// What a call came to: the function's own answer, and the state that the host kept for it.
pub(crate) struct Answered<R> {
    pub(crate) answer: R,
    pub(crate) state: State,
}

/// Why a guest was stopped: carried through wasmtime as the trap's cause.
#[derive(Debug)]
struct Stopped(Over);

// === impl House ===

impl House {
    pub(crate) fn new(engines: Engines) -> Arc<Self> {
        Arc::new(Self { engines, book: Book::default(), stopping: Arc::default() })
    }
}

// === impl Callable ===

impl Callable {
    /// Makes an instance, calls one function, and throws the instance away.
    ///
    /// Blocks, so not on the reactor. An answer of the plugin's is `Ok(Err(fault))` to `ask` and an error here; so are
    /// a trap, the deadline and a limit. All of them are entered into the book.
    pub(crate) fn call<R>(
        &self,
        question: &Question<'_>,
        ask: impl FnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<Result<R, Fault>>,
    ) -> Result<Answered<R>> {
        let (at, began) = (SystemTime::now(), Instant::now());
        let result = self.run(question, began, ask);
        let (ok, answer) = match &result {
            Ok(answered) => (true, describe(&answered.state)),
            Err(error) => (false, error.to_string()),
        };
        self.house.book.enter(Call {
            plugin: self.name.to_string(),
            function: question.function,
            layer: question.id,
            at,
            took: began.elapsed(),
            answer,
            ok,
        });
        result.map_err(|error| {
            let subject = question.id.map_or_else(String::new, |id| format!(" layer {id}"));
            let kind = error.kind();
            Error::new(kind, format!("plugin {}: {}{subject}", self.name, question.function)).because(error)
        })
    }

    fn run<R>(
        &self,
        question: &Question<'_>,
        began: Instant,
        ask: impl FnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<Result<R, Fault>>,
    ) -> Result<Answered<R>> {
        let allowed = self.limits.deadline(question.function);
        let until = Until { deadline: began + allowed, stopping: self.house.stopping.clone() };
        if until.over() == Some(Over::Stopping) {
            return Err(Error::new(Kind::Cancelled, "the daemon is stopping"));
        }
        let Some(_turn) = self.house.engines.turns.take(until.deadline) else {
            let what = format!("no turn within {} ms: too many calls at once", allowed.as_millis());
            return Err(Error::new(Kind::Unavailable, what));
        };
        let voice = Voice::new(self.name.clone(), question.function, question.id, self.limits.log_bytes);
        let mut state = State::new(voice.clone(), until.clone(), self.config.clone(), self.limits.memory);
        state.layer = question.layer.cloned();
        state.layer_dir = self.layer_dir.clone();

        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.epoch_deadline_callback(move |_| match until.over() {
            None => Ok(UpdateDeadline::Continue(1)),
            Some(over) => Err(wasmtime::Error::new(Stopped(over))),
        });
        store.set_epoch_deadline(1);
        let ticking = self.house.engines.ticker.start();
        point!("plugins.call.before");
        let answer = self.pre.instantiate(&mut store).and_then(|instance| ask(&mut store, &instance));
        point!("plugins.call.after");
        drop(ticking);

        let last_words = voice.end();
        match answer {
            Ok(Ok(answer)) => Ok(Answered { answer, state: store.into_data() }),
            Ok(Err(fault)) => Err(FaultError::from(fault).0),
            Err(trap) => Err(self.judge(&trap, &store, allowed, last_words.as_deref())),
        }
    }

    /// Says why a call did not end by itself.
    fn judge(
        &self,
        trap: &wasmtime::Error,
        store: &Store<State>,
        allowed: Duration,
        last_words: Option<&str>,
    ) -> Error {
        let limited = store.data().limiter.refused;
        let cause = trap.root_cause();
        let mut error = match (trap.downcast_ref::<Stopped>(), limited) {
            (Some(Stopped(Over::Deadline)), _) => {
                let what = format!("not done within its {} ms", allowed.as_millis());
                return Error::new(Kind::DeadlineExceeded, what);
            }
            (Some(Stopped(Over::Stopping)), _) => return Error::new(Kind::Cancelled, "the daemon is stopping"),
            (None, Some("memory")) => {
                let limit = self.limits.memory >> 20;
                Error::new(Kind::Exhausted, format!("ran out of its {limit} MiB of memory: {cause}"))
                    .hint("`memory` in its table raises the limit")
            }
            (None, Some(what)) => Error::new(Kind::Exhausted, format!("ran out of {what}: {cause}")),
            (None, None) => match trap.downcast_ref::<Trap>() {
                Some(trap) => Error::internal(format!("trapped: {}", trap_text(*trap))),
                None => Error::internal(format!("failed: {}", crate::contract::tame(&cause.to_string()))),
            },
        };
        if let Some(words) = last_words {
            error = error.because(format!("its last words: {words}"));
        }
        error
    }
}

// === impl Stopped ===

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Over::Deadline => "the deadline passed",
            Over::Stopping => "the daemon is stopping",
        })
    }
}

impl std::error::Error for Stopped {}

/// In wasmtime's words, without its prefix.
fn trap_text(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").map_or_else(|| text.clone(), str::to_owned)
}

/// What a person wants to see of an answer.
fn describe(state: &State) -> String {
    match state.plan.steps.len() {
        0 => "ok".into(),
        1 => format!("{}", Brief(&state.plan.steps[0])),
        steps => format!("{steps} steps, the root: {}", Brief(&state.plan.steps[steps - 1])),
    }
}

struct Brief<'a>(&'a crate::Step);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            crate::Step::Bind { at, read_only } => write!(f, "bind {at}{}", if *read_only { " read-only" } else { "" }),
            crate::Step::Overlay { lowers, upper: Some(upper) } => {
                write!(f, "overlay of {} lowers, upper {}", lowers.len(), upper.upper)
            }
            crate::Step::Overlay { lowers, upper: None } => write!(f, "overlay of {} lowers, read-only", lowers.len()),
            crate::Step::Erofs { image } => write!(f, "erofs {image}"),
        }
    }
}
