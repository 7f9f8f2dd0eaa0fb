use serde_json::Value;
use wharf_error::Result;

use super::previous;
use crate::{
    conf::Network,
    plugin::{Call, Plugins, Verb},
    request::Target,
};

impl Plugins {
    /// Whether everything is as ADD made it, as far as the plugins can tell. A network that knows no CHECK, or wants
    /// none, is taken for good.
    ///
    /// # Errors
    ///
    /// What the first plugin says that misses something.
    pub(crate) async fn check(&self, network: &Network, target: &Target, interface: &str, made: &Value) -> Result<()> {
        if !network.version.has_check() || network.disable_check {
            return Ok(());
        }
        for plugin in &network.plugins {
            let call = Call {
                verb: Verb::Check,
                network: &network.name,
                version: network.version,
                plugin,
                target: Some((target, interface)),
                extra: previous(Some(made)),
            };
            self.call(&call).await?;
        }
        Ok(())
    }
}
