use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    Features, Origin, PluginInfo, PluginSource, PluginState, PluginsConfig, Snapshotter, Wasm,
    bindings::exports::wharf::snapshotter::snapshotter as exported,
    compiled::Compiled,
    component::PluginComponent,
    contract::{VERSION, tame},
    digest, imports,
    instance::{Callable, House, Question},
    json,
    power::LayerDir,
};

/// The largest component, as the compiler has it.
const LARGEST: u64 = 64 << 20;

/// Loads one plugin. What fails is in its information, so that one broken plugin keeps no other from working.
pub(crate) fn load(
    source: &PluginSource,
    config: &PluginsConfig,
    compiled: &Compiled,
    house: &Arc<House>,
) -> (PluginInfo, Option<Arc<Snapshotter>>) {
    let mut info = PluginInfo {
        name: source.name.clone(),
        kind: source.kind,
        version: String::new(),
        digest: String::new(),
        origin: origin(source, config),
        asks: Vec::new(),
        state: PluginState::Failed(String::new()),
    };
    match try_load(source, config, compiled, house, &mut info) {
        Ok(snapshotter) => {
            info.state = PluginState::Ready(snapshotter.features().clone());
            (info, Some(Arc::new(snapshotter)))
        }
        Err(error) if error.kind() == Kind::Unsupported && !info.version.is_empty() => {
            tracing::warn!("{error}");
            info.state = PluginState::Unsupported(error.to_string());
            (info, None)
        }
        Err(error) => {
            tracing::error!("{error}");
            info.state = PluginState::Failed(error.to_string());
            (info, None)
        }
    }
}

fn try_load(
    source: &PluginSource,
    config: &PluginsConfig,
    compiled: &Compiled,
    house: &Arc<House>,
    info: &mut PluginInfo,
) -> Result<Snapshotter> {
    let step = || format!("plugin {}: load", source.name);
    let wasm = read(source, &info.origin).step(step)?;
    info.digest = format!("sha256:{}", digest::hex(wasm.as_ref()));
    PluginComponent::precheck(wasm.as_ref()).step(step)?;
    let (component, made) = compiled.component(&house.engines, wasm.as_ref()).step(step)?;
    tracing::debug!(plugin = source.name, digest = info.digest, compiled = made, "component loaded");
    let component = PluginComponent::new(component).step(step)?;
    info.asks = imports::asks(&component.imports, &source.grants);
    if component.kind != source.kind {
        let what = format!("it is a {}, configured as a {}", component.kind, source.kind);
        return Err(Error::invalid(what)).step(step);
    }
    let name = &source.name;
    let pure = Callable::pure(name, &component, json::from_toml(&source.config), source.limits.clone(), house.clone());
    let pure = pure.step(step)?;
    for ask in pure.describe()?.asks.iter().map(|ask| tame(ask)) {
        info.asks.push(crate::Ask { answer: imports::answer(&ask, &source.grants), name: ask });
    }
    let problems = pure.check_config()?;
    if !problems.is_empty() {
        let problems: Vec<String> = problems.iter().map(|(at, message)| format!("{at}: {message}")).collect();
        let all = problems.iter().map(|problem| problem.trim_start_matches(": ")).collect::<Vec<_>>().join("; ");
        return Err(Error::invalid(format!("plugin {name}: configuration: {all}")));
    }

    let granted = component.link(&source.grants).step(step)?;
    let root = config.snapshots_dir.join(name);
    let layer_dir = Arc::new(LayerDir::open(&root, name).step(step)?);
    let callable = pure.granted(granted, Some(layer_dir));
    info.version = VERSION.to_owned();
    let features = probe(&callable)?;
    Ok(Snapshotter::new(callable, root, features))
}

fn probe(callable: &Callable) -> Result<Features> {
    let question = Question { function: "probe", layer: None, id: None };
    let answered =
        callable.call(&question, |store, instance| instance.wharf_snapshotter_snapshotter().call_probe(store))?;
    let features: exported::Features = answered.answer;
    features.try_into().step_as(Kind::DataLoss, || format!("plugin {}: probe: it answered", callable.name))
}

/// A file of the plugin's name takes the place of the one in the binary.
fn origin(source: &PluginSource, config: &PluginsConfig) -> Origin {
    match &source.wasm {
        Wasm::File(path) => Origin::File(path.clone()),
        Wasm::Bundled(_) => {
            let file = config.folder.as_ref().map(|folder| folder.join(format!("{}.wasm", source.name)));
            file.filter(|file| file.exists()).map_or(Origin::Bundled, Origin::File)
        }
    }
}

enum Bytes {
    Static(&'static [u8]),
    Owned(Vec<u8>),
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

fn read(source: &PluginSource, origin: &Origin) -> Result<Bytes> {
    match (origin, &source.wasm) {
        (Origin::Bundled, Wasm::Bundled(bytes)) => Ok(Bytes::Static(bytes)),
        (Origin::File(path), _) => read_file(path).map(Bytes::Owned),
        (Origin::Bundled, Wasm::File(path)) => read_file(&PathBuf::from(path)).map(Bytes::Owned),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let step = || format!("read {}", path.display());
    let file = File::open(path).step(step)?;
    if !file.metadata().step(step)?.is_file() {
        return Err(Error::invalid(format!("{}: not a file", path.display())));
    }
    let mut wasm = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut wasm).step(step)?;
    if wasm.len() as u64 > LARGEST {
        return Err(Error::new(Kind::Exhausted, format!("{}: larger than {} MiB", path.display(), LARGEST >> 20)));
    }
    Ok(wasm)
}
