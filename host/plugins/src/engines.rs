use std::sync::{Arc, OnceLock};

use wasmtime::{Engine, component::Component};
use wharf_error::{Result, ResultExt as _};

use crate::{native::Native, ticker::Ticker, turns::Turns};

/// The engines of this process: one with a pool of slots, one that allocates for each call what does not fit there.
///
/// Native code is the same for both: the pool is no part of what a compiler must know.
pub(crate) struct Engines {
    pooled: Option<Engine>,
    on_demand: OnceLock<Engine>,
    /// Ends calls that run too long.
    pub(crate) ticker: Arc<Ticker>,
    /// As many as the pool has slots.
    pub(crate) turns: Turns,
    /// Under which compiled code is kept.
    pub(crate) key: String,
}

// === impl Engines ===

impl Engines {
    /// Reserves the pool's addresses, or goes on without it and says so.
    pub(crate) fn new() -> Result<Self> {
        let step = || "start the plugin engine".to_owned();
        let pooled = Engine::new(wharf_engine::pool(&mut wharf_engine::config().step(step)?))
            .inspect_err(|error| tracing::warn!("no pool for plugin instances, each call allocates its own: {error:#}"))
            .ok();
        let key = wharf_engine::key().step(step)?;
        let ticker = Ticker::new(pooled.iter().cloned());
        Ok(Self { pooled, on_demand: OnceLock::new(), ticker, turns: Turns::new(wharf_engine::CALLS as usize), key })
    }

    /// One that only looks at components, without a pool.
    pub(crate) fn small() -> Result<Self> {
        let key = wharf_engine::key().step(|| "start the plugin engine".into())?;
        let (ticker, turns) = (Ticker::new([]), Turns::new(wharf_engine::CALLS as usize));
        Ok(Self { pooled: None, on_demand: OnceLock::new(), ticker, turns, key })
    }

    /// Loads native code into the pool, or into the engine without one when it needs more than a slot has.
    ///
    /// # Errors
    /// When the code was not made for these engines.
    pub(crate) fn load(&self, native: &Native) -> wasmtime::Result<Component> {
        match self.pooled.as_ref().map(|pooled| native.load(pooled)) {
            Some(Ok(component)) => Ok(component),
            // The pool refuses both what is too large and what is not for us; the other engine only the latter.
            Some(Err(_)) | None => native.load(self.on_demand()?),
        }
    }

    fn on_demand(&self) -> wasmtime::Result<&Engine> {
        if let Some(engine) = self.on_demand.get() {
            return Ok(engine);
        }
        let engine = self.on_demand.get_or_init({
            let engine = Engine::new(&wharf_engine::config()?)?;
            || engine
        });
        self.ticker.add(engine.clone());
        Ok(engine)
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        self.ticker.end();
    }
}
