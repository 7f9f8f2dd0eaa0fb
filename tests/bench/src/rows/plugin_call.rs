use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use wharf_plugins::{
    Grants, Kind, LayerFacts, LayerKind, Limits, PluginSource, Plugins, PluginsConfig, Snapshotter, Wasm,
};
use wharf_testkit::Daemon;

use super::{Row, progress};
use crate::{
    native::Native,
    stats::{Summary, microseconds},
};

const PLUGIN: &str = "overlayfs";
const WARM_UP: usize = 50;
/// Parents of the layers that are prepared: an image of that many layers.
const PARENTS: u64 = 9;

/// Prepare, mounts and remove of a container's layer: through the component, and by the same system calls natively.
pub fn plugin_call(cycles: usize) -> Result<Vec<Row>> {
    let work = tempfile::tempdir().context("make a folder for layers")?;
    let plugins = Plugins::open(&config(work.path())?)?;
    let wasm = plugins.snapshotter(PLUGIN)?;
    let native = Native::open(&work.path().join("native"))?;
    for layer in 1..=PARENTS {
        let parents = (1..layer).rev().collect();
        let facts = LayerFacts { id: layer, kind: LayerKind::Active, parents, ..LayerFacts::default() };
        wasm.prepare(&facts)?;
        wasm.commit(&facts)?;
        native.prepare(&facts)?;
    }
    let mut times: [[Vec<f64>; 2]; 3] = Default::default();
    for cycle in 0..WARM_UP + cycles {
        let id = 100 + u64::try_from(cycle)?;
        let parents = (1..=PARENTS).rev().collect();
        let facts = LayerFacts { id, kind: LayerKind::Active, parents, ..LayerFacts::default() };
        let through_wasm = through_wasm(&wasm, &facts)?;
        let natively = natively(&native, &facts)?;
        if cycle >= WARM_UP {
            for (step, [into_wasm, into_native]) in times.iter_mut().enumerate() {
                into_wasm.push(microseconds(through_wasm[step]));
                into_native.push(microseconds(natively[step]));
            }
        }
        progress("plugin calls", cycle + 1, WARM_UP + cycles);
    }
    plugins.stop();
    rows(times)
}

fn through_wasm(wasm: &Snapshotter, facts: &LayerFacts) -> Result<[Duration; 3]> {
    let (prepare, plan) = timed(|| wasm.prepare(facts))?;
    let (mounts, again) = timed(|| wasm.mounts(facts))?;
    ensure!(plan == again, "the plugin plans other mounts when it is asked again");
    let (remove, ()) = timed(|| wasm.remove(facts.id))?;
    Ok([prepare, mounts, remove])
}

fn natively(native: &Native, facts: &LayerFacts) -> Result<[Duration; 3]> {
    let (prepare, plan) = timed(|| native.prepare(facts))?;
    let (mounts, again) = timed(|| native.mounts(facts))?;
    ensure!(plan == again, "the native code plans other mounts when it is asked again");
    let (remove, ()) = timed(|| native.remove(facts.id))?;
    Ok([prepare, mounts, remove])
}

fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(Duration, T), E> {
    let begin = Instant::now();
    let done = work()?;
    Ok((begin.elapsed(), done))
}

/// A row each with the difference of both, pair by pair: what the plugin costs more.
fn rows(times: [[Vec<f64>; 2]; 3]) -> Result<Vec<Row>> {
    const ROWS: [(&str, &str); 3] = [
        ("plugin-prepare", "plugin call: prepare"),
        ("plugin-mounts", "plugin call: mounts"),
        ("plugin-remove", "plugin call: remove"),
    ];
    let row = |((id, what), [wasm, native]): ((&'static str, &'static str), [Vec<f64>; 2])| {
        let more = wasm.iter().zip(&native).map(|(wasm, native)| wasm - native).collect();
        let summary = |values| Summary::of(values).context("no plugin call was measured");
        let of = vec![
            ("wasm".to_owned(), summary(wasm)?),
            ("native".to_owned(), summary(native)?),
            ("difference".to_owned(), summary(more)?),
        ];
        Ok(Row { id, what, unit: "µs", of })
    };
    ROWS.into_iter().zip(times).map(row).collect()
}

fn config(work: &Path) -> Result<PluginsConfig> {
    let bundled = wharf_bundled::plugin(PLUGIN).with_context(|| format!("plugin {PLUGIN} is not bundled"))?;
    let source = PluginSource {
        name: PLUGIN.to_owned(),
        kind: Kind::Snapshotter,
        wasm: Wasm::Bundled(bundled.wasm),
        config: toml::Table::new(),
        grants: Grants::of(bundled.powers.iter().copied()),
        limits: Limits::default(),
    };
    Ok(PluginsConfig {
        compiled_dir: work.join("compiled"),
        compiler: Daemon::bin_dir()?.join("wharf-compile"),
        snapshots_dir: work.join("snapshots"),
        folder: None,
        plugins: vec![source],
    })
}
