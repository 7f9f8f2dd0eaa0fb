use serde::Deserialize;
use serde_json::Map;
use wharf_error::{Error, Kind, Result};

use crate::{
    conf::{Network, plugin_type},
    plugin::{Call, Plugins, Verb},
    version::Version,
};

/// What VERSION answers.
#[derive(Deserialize)]
struct Spoken {
    #[serde(rename = "supportedVersions", default)]
    versions: Vec<String>,
}

impl Plugins {
    /// Whether every plugin is there and speaks the network's version. One that cannot say what it speaks is believed
    /// to: it will tell when it is asked for something.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition`: a program is missing, or does not speak the version.
    pub(crate) async fn verify(&self, network: &Network) -> Result<()> {
        for plugin in &network.plugins {
            let call = Call {
                verb: Verb::Version,
                network: &network.name,
                // This question is older than any version it could be asked in.
                version: network.version,
                plugin,
                target: None,
                extra: Map::new(),
            };
            self.find(&call).await?;
            let spoken = match self.call(&call).await {
                Ok(printed) => serde_json::from_slice::<Spoken>(&printed).ok().map(|spoken| spoken.versions),
                Err(error) => {
                    tracing::warn!(%error, "ask a network plugin for the versions that it speaks");
                    None
                }
            };
            let Some(spoken) = spoken.filter(|spoken| !spoken.is_empty()) else { continue };
            if !spoken.iter().any(|version| Version::parse(version) == Some(network.version)) {
                let name = plugin_type(plugin);
                return Err(Error::new(
                    Kind::FailedPrecondition,
                    format!("network {}: plugin {name} does not speak CNI {}", network.name, network.version),
                )
                .hint(format!(
                    "it speaks {}: change cniVersion in {}, or the plugin",
                    spoken.join(", "),
                    network.file.display()
                )));
            }
        }
        Ok(())
    }
}
