use std::{path::Path, sync::Arc};

use wharf_error::{Result, ResultExt as _};

use crate::{
    Kind, Limits,
    compile::compile,
    component::PluginComponent,
    contract::{VERSION, tame},
    digest,
    engines::Engines,
    imports::Import,
    instance::{Callable, House},
    json,
};

/// What a component is and asks for: `wharf plugin inspect FILE`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inspection {
    /// What it is.
    pub kind: Kind,
    /// The version of the contract that it was made for.
    pub version: String,
    /// `sha256:…` of the file.
    pub digest: String,
    /// Bytes of the file.
    pub size: u64,
    /// The powers that it imports, without their version: each must be granted or refused by name.
    pub powers: Vec<String>,
    /// What else it asks for, in its own words.
    pub asks: Vec<String>,
    /// What it exports beside what its kind must.
    pub abilities: Vec<String>,
    /// WASI interfaces that it imports: linked without files, sockets or an environment behind them.
    pub wasi: Vec<String>,
    /// JSON Schema of its configuration.
    pub config_schema: Option<String>,
    /// Anything else that it says about itself.
    pub extra: Vec<(String, String)>,
}

/// Something that a plugin finds wrong with its configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigProblem {
    /// JSON pointer into the plugin's table; empty: the whole.
    pub at: String,
    /// What is wrong.
    pub message: String,
}

/// Looks at a component without a daemon: compiles it in the confined child and asks it to describe itself, with no
/// power at all. Nothing is kept.
///
/// # Errors
/// When it is no plugin of this contract, or traps.
pub fn inspect(compiler: &Path, wasm: &[u8]) -> Result<Inspection> {
    let (component, callable) = open(compiler, wasm, "{}".into())?;
    let said = callable.describe()?;
    let named = |wanted: fn(&Import) -> bool| {
        let imports = component.imports.iter().filter(move |(_, import)| wanted(import));
        imports.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let bare = |name: &str| name.split_once('@').map_or(name, |(bare, _)| bare).to_owned();
    let required = ["wharf:host/plugin", component.kind.interface()];
    Ok(Inspection {
        kind: component.kind,
        version: VERSION.to_owned(),
        digest: format!("sha256:{}", digest::hex(wasm)),
        size: wasm.len() as u64,
        powers: named(|import| matches!(import, Import::Power(_))).iter().map(|name| bare(name)).collect(),
        asks: said.asks.iter().map(|ask| tame(ask)).collect(),
        abilities: component
            .exports
            .iter()
            .map(|name| bare(name))
            .filter(|n| !required.contains(&n.as_str()))
            .collect(),
        wasi: named(|import| *import == Import::Wasi),
        config_schema: said.config_schema,
        extra: said.extra.iter().map(|(key, value)| (tame(key), tame(value))).collect(),
    })
}

/// Lets a plugin judge a configuration without a daemon, as `wharf config check` does. Empty: it takes it.
///
/// # Errors
/// As [`inspect`].
pub fn check_config(compiler: &Path, wasm: &[u8], config: &toml::Table) -> Result<Vec<ConfigProblem>> {
    let (_, callable) = open(compiler, wasm, json::from_toml(config))?;
    let problems = callable.check_config()?;
    Ok(problems.into_iter().map(|(at, message)| ConfigProblem { at, message }).collect())
}

fn open(compiler: &Path, wasm: &[u8], config: String) -> Result<(PluginComponent, Callable)> {
    PluginComponent::precheck(wasm)?;
    let house = House::new(Engines::small()?);
    let component = house.engines.load(&compile(compiler, wasm)?).step(|| "load what was compiled".into())?;
    let component = PluginComponent::new(component)?;
    let callable = Callable::pure("inspected", &component, config, Limits::default(), Arc::clone(&house))?;
    Ok((component, callable))
}
