use serde_json::Value;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::previous;
use crate::{
    conf::{Network, plugin_type},
    plugin::{Call, Plugins, Verb},
    request::Target,
    result::convert,
};

impl Plugins {
    /// Attaches the pod: every plugin in order, each told what the ones before it have made. Answers what there is then,
    /// in the network's version.
    ///
    /// # Errors
    ///
    /// The first plugin's that fails; what others have made by then stays until a DEL.
    pub(crate) async fn add(&self, network: &Network, target: &Target, interface: &str) -> Result<Value> {
        let mut result = None;
        for plugin in &network.plugins {
            let call = Call {
                verb: Verb::Add,
                network: &network.name,
                version: network.version,
                plugin,
                target: Some((target, interface)),
                extra: previous(result.as_ref()),
            };
            let printed = self.call(&call).await?;
            let made = read(&printed).and_then(|made| convert(made, network.version));
            let what = || format!("network {}: plugin {}: {}", network.name, plugin_type(plugin), Verb::Add);
            result = Some(made.step(what)?);
        }
        result.ok_or_else(|| Error::internal(format!("network {}: it has no plugins", network.name)))
    }
}

fn read(printed: &[u8]) -> Result<Value> {
    if printed.trim_ascii().is_empty() {
        return Err(Error::new(Kind::Unknown, "it printed no result"));
    }
    serde_json::from_slice(printed).step_as(Kind::Unknown, || "the result that it printed".into())
}
