use serde_json::{Map, Value, json};
use wharf_error::Result;

use crate::{
    conf::Network,
    plugin::{Call, Plugins, Verb},
};

impl Plugins {
    /// Tells every plugin which attachments there are (pod and interface), so that it frees all others. A network that
    /// knows no GC, or wants none, is left alone.
    ///
    /// # Errors
    ///
    /// The last plugin's that fails; all are asked.
    pub(crate) async fn gc(&self, network: &Network, valid: &[(String, String)]) -> Result<()> {
        if !network.version.has_gc() || network.disable_gc {
            return Ok(());
        }
        let valid: Value = valid.iter().map(|(pod, name)| json!({ "containerID": pod, "ifname": name })).collect();
        let mut outcome = Ok(());
        for plugin in &network.plugins {
            let call = Call {
                verb: Verb::Gc,
                network: &network.name,
                version: network.version,
                plugin,
                target: None,
                extra: Map::from_iter([
                    ("cni.dev/valid-attachments".to_owned(), valid.clone()),
                    // The name of the first drafts, which plugins of that time look for.
                    ("cni.dev/attachments".to_owned(), valid.clone()),
                ]),
            };
            if let Err(error) = self.call(&call).await {
                outcome = Err(error);
            }
        }
        outcome
    }
}
