use std::{path::Path, process::Stdio};

use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, process::Command};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::{Features, OtherShim, parse_info};

use crate::{Handler, Pods, PodsConfig, inner::Inner, shim};

/// What of the OCI specification's features decides here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OciFeatures {
    mount_options: Vec<String>,
}

// === impl Pods ===

impl Pods {
    /// What the default runtime handler can do on this node. Tried once, by its shim; some milliseconds. A later call waits for
    /// nothing.
    ///
    /// # Errors
    ///
    /// Where the shim cannot be run; asked again, it is tried again.
    pub async fn features(&self) -> Result<&Features> {
        self.inner.features_of(&self.inner.config.default_handler).await
    }

    /// The same of the runtime handler of this name.
    ///
    /// # Errors
    ///
    /// As [`Pods::features`]; `InvalidArgument` for a handler that is not configured.
    pub async fn features_of(&self, handler: &str) -> Result<&Features> {
        self.inner.features_of(handler).await
    }

    /// The runtime handlers by name, the default one also by the empty name, and what each can do on this node. One that
    /// cannot be asked can do nothing beyond pods; its reasons say why.
    ///
    /// # Errors
    ///
    /// As [`Pods::features`].
    pub async fn handlers(&self) -> Result<Vec<(String, &Features)>> {
        let mut handlers = vec![(String::new(), self.features().await?)];
        for name in self.inner.config.handlers.keys() {
            handlers.push((name.clone(), self.inner.features_of(name).await?));
        }
        Ok(handlers)
    }

    /// Refuses a pod with a user namespace where its handler can have none.
    ///
    /// # Errors
    ///
    /// `Unsupported`, with the reason; `InvalidArgument` for a handler that is not configured.
    pub async fn need_user_namespaces(&self, handler: &str) -> Result<()> {
        let features = self.inner.features_of(handler).await?;
        if features.user_namespaces {
            return Ok(());
        }
        let reasons = features.reasons.join("; ");
        Err(Error::new(Kind::Unsupported, format!("user namespaces are not supported on this node: {reasons}")))
    }
}

// === impl Inner ===

impl Inner {
    async fn features_of(&self, name: &str) -> Result<&Features> {
        let handler = self.handler(name)?;
        let name = if name.is_empty() { self.config.default_handler.as_str() } else { name };
        let Some(cell) = self.features.get(name) else {
            return Err(Error::internal(format!("runtime handler {name:?}: nobody has looked at it")));
        };
        cell.get_or_try_init(|| async {
            let features = match handler {
                Handler::Native => self.native_features().await?,
                Handler::Oci { path, .. } => others_features(path, of_oci(&self.config, path).await),
                // What it runs does the mounts.
                Handler::Shim { binary: Some(binary), .. } => {
                    others_features(binary, of_oci(&self.config, binary).await)
                }
                Handler::Shim { binary: None, path, config } => {
                    let shim = OtherShim { path: path.clone(), config: config.clone(), ..OtherShim::default() };
                    others_features(path, of_shim(&self.config, &shim).await)
                }
            };
            for reason in &features.reasons {
                tracing::warn!(handler = name, reason, "this node lacks something");
            }
            Ok(features)
        })
        .await
    }

    async fn native_features(&self) -> Result<Features> {
        let layers = self.snapshots.root();
        // Beside the plugin's own folder, on the same file system.
        let folder = layers.parent().unwrap_or(layers);
        shim::features(&self.config, folder).await
    }
}

/// What a program says of itself. Pods with user namespaces it does not get from us: their roots are made for the native
/// handler.
fn others_features(path: &Path, said: Result<OciFeatures>) -> Features {
    let missing = match said {
        Ok(said) if said.mount_options.iter().any(|option| option == "rro") => None,
        Ok(_) => Some(format!("recursive read-only mounts: {} does not know them", path.display())),
        Err(error) => Some(format!("recursive read-only mounts: {error}")),
    };
    let recursive_read_only_mounts = missing.is_none();
    let own = "user namespaces: only the native runtime handler has them".to_owned();
    let reasons = std::iter::once(own).chain(missing).collect();
    Features { user_namespaces: false, recursive_read_only_mounts, reasons }
}

async fn of_oci(config: &PodsConfig, path: &Path) -> Result<OciFeatures> {
    let printed = ask(config, path, "features", &[]).await?;
    serde_json::from_slice(&printed).step(|| format!("{} features", path.display()))
}

/// Shims of containerd 2 can be asked.
async fn of_shim(config: &PodsConfig, shim: &OtherShim) -> Result<OciFeatures> {
    let printed = ask(config, &shim.path, "-info", &shim.encoded_options()?).await?;
    parse_info(&printed).step(|| format!("{} -info", shim.path.display()))
}

async fn ask(config: &PodsConfig, path: &Path, what: &str, input: &[u8]) -> Result<Vec<u8>> {
    let step = || format!("{} {what}", path.display());
    let answer = async {
        let mut command = Command::new(path);
        command.arg(what).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it may have answered all the same.
            let _ = stdin.write_all(input).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(config.shim_deadline, answer).await;
    let output = output.map_err(|_| Error::new(Kind::DeadlineExceeded, format!("{}: no answer in time", step())))?;
    let output = output.step(step)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // What may follow is how it is used.
        let said = said.trim().lines().next().unwrap_or_default();
        return Err(Error::internal(format!("{}: {said} ({})", step(), output.status)));
    }
    Ok(output.stdout)
}
