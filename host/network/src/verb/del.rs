use serde_json::Value;
use wharf_error::{Error, Result};

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
            match self.call(&call).await {
                Err(error) if says_that_it_is_gone(&error, target) => {
                    tracing::warn!(network = network.name, pod = target.pod, %error, "DEL: taken for done");
                }
                done => drop(done?),
            }
        }
        Ok(())
    }
}

/// Plugins should take what is gone for done, and some fail at it; containerd goes on at these words, too. Our own for a
/// plugin that is missing are others.
fn says_that_it_is_gone(error: &Error, target: &Target) -> bool {
    let text = error.to_string();
    text.contains("not found") || (target.netns.as_os_str().is_empty() && text.contains("no such file or directory"))
}
