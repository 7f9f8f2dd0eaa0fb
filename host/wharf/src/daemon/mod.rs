//! `wharf daemon`: puts the crates together, serves them, and ends without taking a container along.

mod build;
mod cgroup_driver;
mod dirs;
mod events;
mod flags;
mod log;
mod serve;
mod signals;

use std::time::Duration;

use anyhow::{Context as _, Result};

pub(crate) use self::flags::Flags;

/// Threads for blocking steps at most; each waits ten seconds for more work, then ends.
const BLOCKING_THREADS: usize = 64;

/// How long blocking steps may take once all else has ended.
const LAST: Duration = Duration::from_secs(2);

/// Runs the daemon until it is told to stop.
pub(crate) fn run(flags: Flags) -> Result<()> {
    let config = flags.config()?;
    config.check()?;
    log::init(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("wharf")
        .build()
        .context("start the runtime")?;
    let served = runtime.block_on(serve::serve(config));
    // The books are closed. What a thread still waits for (a plugin of the network, a file system) is the next daemon's.
    runtime.shutdown_timeout(LAST);
    served
}
