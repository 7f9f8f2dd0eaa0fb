use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use wasmtime::Engine;

/// How often a running guest is asked whether its time is over.
const TICK: Duration = Duration::from_millis(10);

/// How long it ticks on after the last call, so that a burst of calls wakes no thread.
const LINGER: Duration = Duration::from_secs(1);

/// One thread that moves the engines' epochs on while any call runs, and sleeps when none does.
pub(crate) struct Ticker {
    engines: Mutex<Vec<Engine>>,
    running: AtomicUsize,
    awake: AtomicBool,
    ended: AtomicBool,
    /// Guards nothing but the moment between looking and sleeping.
    gate: Mutex<()>,
    wake: Condvar,
}

/// As long as it lives, the epochs move.
pub(crate) struct Ticking<'a>(&'a Ticker);

// === impl Ticker ===

impl Ticker {
    pub(crate) fn new(engines: impl IntoIterator<Item = Engine>) -> Arc<Self> {
        let ticker = Arc::new(Self {
            engines: Mutex::new(engines.into_iter().collect()),
            running: AtomicUsize::new(0),
            awake: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            gate: Mutex::new(()),
            wake: Condvar::new(),
        });
        let weak = Arc::downgrade(&ticker);
        let started = thread::Builder::new().name("plugin-ticker".into()).spawn(move || run(&weak));
        if let Err(error) = started {
            tracing::error!("no thread for the deadlines of plugins: {error}");
        }
        ticker
    }

    pub(crate) fn add(&self, engine: Engine) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if !engines.iter().any(|known| Engine::same(known, &engine)) {
            engines.push(engine);
        }
    }

    pub(crate) fn start(&self) -> Ticking<'_> {
        self.running.fetch_add(1, Ordering::SeqCst);
        if !self.awake.load(Ordering::SeqCst) {
            let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            self.awake.store(true, Ordering::SeqCst);
            self.wake.notify_one();
        }
        Ticking(self)
    }

    /// Lets the thread go, and with it its hold on the engines.
    pub(crate) fn end(&self) {
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.ended.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    fn tick(&self) {
        for engine in self.engines.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            engine.increment_epoch();
        }
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn run(ticker: &Weak<Ticker>) {
    let mut last_call = Instant::now();
    while let Some(ticker) = ticker.upgrade().filter(|ticker| !ticker.ended.load(Ordering::SeqCst)) {
        if ticker.running.load(Ordering::SeqCst) > 0 {
            last_call = Instant::now();
        }
        if last_call.elapsed() < LINGER {
            ticker.tick();
            drop(ticker);
            thread::sleep(TICK);
            continue;
        }
        let gate = ticker.gate.lock().unwrap_or_else(PoisonError::into_inner);
        ticker.awake.store(false, Ordering::SeqCst);
        if ticker.running.load(Ordering::SeqCst) == 0 && !ticker.ended.load(Ordering::SeqCst) {
            drop(ticker.wake.wait(gate));
        }
        ticker.awake.store(true, Ordering::SeqCst);
        last_call = Instant::now();
    }
}
