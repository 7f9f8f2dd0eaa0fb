use serde_json::Map;
use wharf_error::Result;

use crate::{
    conf::Network,
    plugin::{Call, Plugins, Verb},
};

impl Plugins {
    /// Whether the plugins could attach a pod now. A network that knows no STATUS is taken for ready.
    ///
    /// # Errors
    ///
    /// What the first plugin says that could not.
    pub(crate) async fn status(&self, network: &Network) -> Result<()> {
        if !network.version.has_gc() {
            return Ok(());
        }
        for plugin in &network.plugins {
            let call = Call {
                verb: Verb::Status,
                network: &network.name,
                version: network.version,
                plugin,
                target: None,
                extra: Map::new(),
            };
            self.call(&call).await?;
        }
        Ok(())
    }
}
