use std::sync::Arc;

use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    Kind, Limits,
    bindings::{SnapshotterPre, exports::wharf::host::plugin::Description},
    contract::{VERSION, tame},
    imports::{self, Import},
    instance::{Callable, House, Question},
    power::LayerDir,
    state::State,
};

/// Where a component begins, and where a core module does.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A component that is compiled and known to be a plugin.
pub(crate) struct PluginComponent {
    component: Component,
    pub(crate) kind: Kind,
    pub(crate) imports: Vec<(String, Import)>,
    pub(crate) exports: Vec<String>,
}

// === impl PluginComponent ===

impl PluginComponent {
    /// Refuses what cannot be a component before anything is made of it.
    pub(crate) fn precheck(wasm: &[u8]) -> Result<()> {
        if wasm.starts_with(COMPONENT) {
            Ok(())
        } else if wasm.starts_with(MODULE) {
            Err(Error::invalid("it is a core module, not a component").hint("build it for wasm32-wasip2"))
        } else {
            Err(Error::invalid("it is not WebAssembly"))
        }
    }

    /// Reads what it imports and exports.
    pub(crate) fn new(component: Component) -> Result<Self> {
        let engine = component.engine().clone();
        let ty = component.component_type();
        let exports: Vec<String> = ty.exports(&engine).map(|(name, _)| name.to_owned()).collect();
        let kind = kind_of(&exports)?;
        let imports = imports::of(&component, &engine)?;
        Ok(Self { component, kind, imports, exports })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.component.engine()
    }

    /// A plugin with these powers and no other.
    pub(crate) fn link(&self, grants: &crate::Grants) -> Result<SnapshotterPre<State>> {
        self.pre(&imports::link(&self.component, self.engine(), &self.imports, grants)?)
    }

    /// The same without any power, for its pure functions.
    pub(crate) fn link_pure(&self) -> Result<SnapshotterPre<State>> {
        self.pre(&imports::link_pure(&self.component, self.engine(), &self.imports)?)
    }

    fn pre(&self, linker: &Linker<State>) -> Result<SnapshotterPre<State>> {
        let step = || "it does not fit the contract".to_owned();
        let pre = linker.instantiate_pre(&self.component).step_as(wharf_error::Kind::InvalidArgument, step)?;
        SnapshotterPre::new(pre).step_as(wharf_error::Kind::InvalidArgument, step)
    }
}

// === impl Callable ===

impl Callable {
    /// For `describe` and `check-config`.
    pub(crate) fn pure(
        name: &str,
        component: &PluginComponent,
        config: String,
        limits: Limits,
        house: Arc<House>,
    ) -> Result<Self> {
        let (pre, config) = (component.link_pure()?, config.into());
        Ok(Self { name: name.into(), config, limits, pre, layer_dir: None, house })
    }

    /// The same plugin with what it was granted.
    pub(crate) fn granted(self, pre: SnapshotterPre<State>, layer_dir: Option<Arc<LayerDir>>) -> Self {
        Self { pre, layer_dir, ..self }
    }

    /// What the plugin says about itself.
    pub(crate) fn describe(&self) -> Result<Description> {
        let question = Question { function: "describe", layer: None, id: None };
        let answered =
            self.call(&question, |store, instance| instance.wharf_host_plugin().call_describe(store).map(Ok))?;
        Ok(answered.answer)
    }

    /// What is wrong with its configuration, as pointer and message.
    pub(crate) fn check_config(&self) -> Result<Vec<(String, String)>> {
        let question = Question { function: "check-config", layer: None, id: None };
        let config = self.config.clone();
        let answered = self.call(&question, |store, instance| {
            instance.wharf_host_plugin().call_check_config(store, &config).map(Ok)
        })?;
        let problems = answered.answer.err().unwrap_or_default();
        Ok(problems.into_iter().map(|problem| (tame(&problem.at), tame(&problem.message))).collect())
    }
}

/// By the one export that makes a plugin what it is.
fn kind_of(exports: &[String]) -> Result<Kind> {
    for export in exports {
        let (bare, version) = export.split_once('@').unwrap_or((export, ""));
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.interface() == bare) else { continue };
        if version == VERSION {
            return Ok(kind);
        }
        let what = format!("it is a {kind} of version {version:?}, and this host speaks {VERSION}");
        return Err(
            Error::new(wharf_error::Kind::Unsupported, what).hint("build it against the contract of this wharf")
        );
    }
    Err(Error::invalid("it is a component, but no plugin: it exports none of the interfaces of a kind")
        .hint("known kinds: snapshotter"))
}
