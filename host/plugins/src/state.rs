use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::{
    LayerFacts,
    bindings::wharf::host::types::Code,
    contract::{Fault, fault},
    limiter::Limiter,
    power::{LayerDir, PlanBuilder},
    voice::Voice,
};

/// Everything that one call has: made with its instance, gone with it.
pub(crate) struct State {
    wasi: WasiCtx,
    /// Handles of WASI's resources; ours need none.
    table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) voice: Voice,
    pub(crate) until: Until,
    pub(crate) config: Arc<str>,
    /// The layer that the call is about.
    pub(crate) layer: Option<LayerFacts>,
    pub(crate) plan: PlanBuilder,
    /// The power `layer-dir`; linked only where it is granted.
    pub(crate) layer_dir: Option<Arc<LayerDir>>,
}

/// Until when a call may run, for the guest and for the host's own work in it.
#[derive(Clone)]
pub(crate) struct Until {
    pub(crate) deadline: Instant,
    pub(crate) stopping: Arc<AtomicBool>,
}

/// How a call's time can be over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    Deadline,
    Stopping,
}

/// Says to the bindings that the state itself implements the interfaces.
pub(crate) struct HasState;

// === impl State ===

impl State {
    pub(crate) fn new(voice: Voice, until: Until, config: Arc<str>, memory: usize) -> Self {
        let wasi = crate::wasi::context(&voice);
        let table = crate::wasi::table();
        let (limiter, plan) = (Limiter::new(memory), PlanBuilder::default());
        Self { wasi, table, limiter, voice, until, config, layer: None, plan, layer_dir: None }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl HasData for HasState {
    type Data<'a> = &'a mut State;
}

// === impl Until ===

impl Until {
    /// Whether the time is over.
    pub(crate) fn over(&self) -> Option<Over> {
        if self.stopping.load(Ordering::Relaxed) {
            Some(Over::Stopping)
        } else {
            (Instant::now() >= self.deadline).then_some(Over::Deadline)
        }
    }

    /// The same for work that the host does for a guest.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        match self.over() {
            None => Ok(()),
            Some(Over::Deadline) => Err(fault(Code::DeadlineExceeded, "the call's deadline passed")),
            Some(Over::Stopping) => Err(fault(Code::Cancelled, "the daemon is stopping")),
        }
    }
}
