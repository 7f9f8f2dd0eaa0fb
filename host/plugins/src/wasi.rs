//! WASI 0.2, linked because std and language runtimes import it, and inert: no files, no sockets, no environment, no
//! arguments; clocks and random are real, standard streams go to the plugin's log.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    WasiCtx, WasiCtxBuilder, WasiView as _,
    cli::{IsTerminal, StdoutStream},
    clocks::WasiClocksCtxView,
    p2::{DynPollable, OutputStream, Pollable, StreamResult, bindings::clocks::monotonic_clock},
};

use crate::{
    state::State,
    voice::{Stream, Voice},
};

/// Packages that are linked; any other `wasi:` is refused at load.
pub(crate) const PACKAGES: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Handles that a call may have open.
const HANDLES: usize = 1024;

/// Random bytes that a guest may ask for at once.
const RANDOM: u64 = 64 << 10;

pub(crate) fn context(voice: &Voice) -> WasiCtx {
    let stream = |stream| Output { voice: voice.clone(), stream };
    // The builder's own defaults: no arguments, environment, folders, sockets, name lookups or standard input.
    WasiCtxBuilder::new()
        .stdout(stream(Stream::Out))
        .stderr(stream(Stream::Err))
        .allow_tcp(false)
        .allow_udp(false)
        .max_random_size(RANDOM)
        .build()
}

pub(crate) fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES);
    table
}

pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    // An epoch does not interrupt a host function, so nothing may be waited for longer than the call may run. All that a
    // guest can wait for here is a clock: the streams are always ready, and there is nothing else.
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<State, Clock<'static>>(linker, |state| Clock {
        deadline: state.until.deadline,
        inner: {
            let view = state.ctx();
            WasiClocksCtxView { ctx: view.ctx.clocks(), table: view.table }
        },
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The real clock, but what it wakes is woken by the end of the call.
struct Clock<'a> {
    deadline: Instant,
    inner: WasiClocksCtxView<'a>,
}

// === impl Clock ===

impl HasData for Clock<'static> {
    type Data<'a> = Clock<'a>;
}

impl monotonic_clock::Host for Clock<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.inner.now()
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.inner.resolution()
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.inner.now()?;
        self.subscribe_duration(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let wait = Duration::from_nanos(nanoseconds).min(left);
        self.inner.subscribe_duration(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A standard stream: never full, never blocks.
#[derive(Clone)]
struct Output {
    voice: Voice,
    stream: Stream,
}

// === impl Output ===

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.voice.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}
