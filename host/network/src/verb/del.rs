use serde_json::Value;
use wharf_error::Result;

use super::previous;
use crate::{
    conf::Network,
    plugin::{Call, Plugins, Verb},
    request::Target,
};

impl Plugins {
    /// Detaches the pod: every plugin, the last first, each told what ADD had made. Can be repeated; plugins take what
    /// is gone for done.
    ///
    /// # Errors
    ///
    /// The first plugin's that fails; those before it have not been asked.
    pub(crate) async fn del(
        &self,
        network: &Network,
        target: &Target,
        interface: &str,
        made: Option<&Value>,
    ) -> Result<()> {
        let made = made.filter(|_| network.version.has_check());
        for plugin in network.plugins.iter().rev() {
            let call = Call {
                verb: Verb::Del,
                network: &network.name,
                version: network.version,
                plugin,
                target: Some((target, interface)),
                extra: previous(made),
            };
            self.call(&call).await?;
        }
        Ok(())
    }
}
