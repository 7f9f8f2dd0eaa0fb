use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use wharf_error::{Error, Kind, Result};

use crate::{
    Call, CallStat, PluginInfo, PluginState, PluginsConfig, Snapshotter, compiled::Compiled, engines::Engines,
    instance::House, load,
};

/// Every plugin of this node, loaded.
pub struct Plugins {
    infos: Vec<PluginInfo>,
    snapshotters: BTreeMap<String, Arc<Snapshotter>>,
    house: Arc<House>,
}

// === impl Plugins ===

impl Plugins {
    /// Loads all plugins of a configuration: each is compiled unless that was done, asked what it is, given its
    /// configuration to judge, linked with its powers and probed. Blocks: a few milliseconds each, and 0.1 s for a small
    /// component that was never compiled here.
    ///
    /// # Errors
    /// Only what concerns all of them: the engine, the directory of compiled code, a name that is twice there or no name.
    /// A plugin that cannot be loaded is listed as [`PluginState::Failed`], and [`snapshotter`](Self::snapshotter) then
    /// answers with that failure.
    pub fn open(config: &PluginsConfig) -> Result<Self> {
        check_names(config)?;
        let compiled = Compiled::open(config.compiled_dir.clone(), config.compiler.clone())?;
        let house = House::new(Engines::new()?);
        let (mut infos, mut snapshotters) = (Vec::new(), BTreeMap::new());
        for source in &config.plugins {
            let (info, snapshotter) = load::load(source, config, &compiled, &house);
            snapshotters.extend(snapshotter.map(|snapshotter| (info.name.clone(), snapshotter)));
            infos.push(info);
        }
        compiled.sweep();
        Ok(Self { infos, snapshotters, house })
    }

    /// What `wharf plugin ls` shows, in the configuration's order.
    pub fn list(&self) -> Vec<PluginInfo> {
        self.infos.clone()
    }

    /// The snapshotter of this name.
    ///
    /// # Errors
    /// `NotFound` when none is configured; `FailedPrecondition` or `Unsupported` when it is not ready, with why.
    pub fn snapshotter(&self, name: &str) -> Result<Arc<Snapshotter>> {
        if let Some(snapshotter) = self.snapshotters.get(name) {
            return Ok(snapshotter.clone());
        }
        match self.infos.iter().find(|info| info.name == name).map(|info| &info.state) {
            Some(PluginState::Unsupported(why)) => Err(Error::new(Kind::Unsupported, why)),
            Some(PluginState::Failed(why)) => Err(Error::new(Kind::FailedPrecondition, why)),
            Some(PluginState::Ready(_)) | None => {
                let known: Vec<&str> = self.snapshotters.keys().map(String::as_str).collect();
                Err(Error::not_found("snapshotter", name).hint(format!("loaded: {}", known.join(", "))))
            }
        }
    }

    /// All calls since the start, summed by plugin and function.
    pub fn call_stats(&self) -> Vec<CallStat> {
        self.house.book.stats()
    }

    /// The last 256 calls, oldest first.
    pub fn last_calls(&self) -> Vec<Call> {
        self.house.book.last()
    }

    /// From now on no call begins, and those under way end within a few milliseconds with `Cancelled`, as if they had
    /// been cut by a crash. For the daemon's end.
    pub fn stop(&self) {
        self.house.stopping.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").field("plugins", &self.infos).finish_non_exhaustive()
    }
}

/// A name becomes a folder, a file and a word in every message.
fn check_names(config: &PluginsConfig) -> Result<()> {
    let mut seen = BTreeSet::new();
    for source in &config.plugins {
        let name = source.name.as_str();
        let good = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !good {
            let what = format!("{name:?} is no name of a plugin");
            return Err(Error::invalid(what).hint("lower-case letters, digits and `-`, the first one a letter"));
        }
        if !seen.insert(name) {
            return Err(Error::invalid(format!("plugin {name} is there twice")));
        }
    }
    Ok(())
}
