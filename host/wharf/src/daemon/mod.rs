//! `wharf daemon`: puts the crates together, serves them, and ends without taking a container along.

mod build;
mod dirs;
mod events;
mod flags;
mod log;
mod serve;
mod signals;

use anyhow::{Context as _, Result};

pub(crate) use self::flags::Flags;

/// Threads for blocking steps at most; each waits ten seconds for more work, then ends.
const BLOCKING_THREADS: usize = 64;

/// Runs the daemon until it is told to stop.
pub(crate) fn run(flags: Flags) -> Result<()> {
    let config = flags.config()?;
    config.check()?;
    log::init(&config.log)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("wharf")
        .build()
        .context("start the runtime")?
        .block_on(serve::serve(config))
}
