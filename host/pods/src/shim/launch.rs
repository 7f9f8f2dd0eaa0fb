use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::Features;

use super::Shim;
use crate::PodsConfig;

// === impl Shim ===

impl Shim {
    /// Starts the pod's shim and connects to it. Answers its address too, by which the next daemon finds it.
    ///
    /// The shim is no child of ours once it runs, and ends with nothing but [`Shim::shutdown`] or a signal.
    pub(crate) async fn launch(config: &PodsConfig, pod: &str, bundle: &Path) -> Result<(Self, String)> {
        let printed = run(config, pod, bundle, "start").await?;
        let printed = String::from_utf8(printed).step(|| format!("shim of pod {pod}: start: its address"))?;
        let address = printed.trim().to_owned();
        let shim = Self::connect(pod, &address, config.shim_deadline).await?;
        Ok((shim, address))
    }
}

/// Ends what a shim left that does not answer: itself, its processes, control groups and the pinned network
/// namespace. None of it there is success.
pub(crate) async fn clean_up(config: &PodsConfig, pod: &str, bundle: &Path) -> Result<()> {
    if !bundle.exists() {
        return Ok(());
    }
    // It prints how the pod's first process ended, as a message; the books know that from elsewhere.
    run(config, pod, bundle, "delete").await.map(drop)
}

/// What the shim can do on this node with layers in `folder`.
pub(crate) async fn features(config: &PodsConfig, folder: &Path) -> Result<Features> {
    let printed = run(config, "features", folder, "features").await?;
    serde_json::from_slice(&printed).step(|| "what the shim says of its features".into())
}

/// Runs the shim's binary for one verb of the shim v2 protocol; answers what it printed.
async fn run(config: &PodsConfig, pod: &str, bundle: &Path, verb: &str) -> Result<Vec<u8>> {
    let what = || format!("shim of pod {pod}: {verb}");
    let mut command = Command::new(&config.shim);
    command
        .arg("-namespace")
        .arg(&config.namespace)
        .arg("-id")
        .arg(pod)
        .arg("-address")
        .arg(&config.address)
        .arg("-bundle")
        .arg(bundle)
        .arg(verb)
        .current_dir(bundle)
        .env_clear()
        .env("TTRPC_ADDRESS", ttrpc_address(&config.address))
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()))
        .envs(wharf_crash_points::environment())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let (name, done) = (pod.to_owned(), verb.to_owned());
    let output = wharf_steps::step(move || format!("shim of pod {name}: {done}"), command.output());
    let output = tokio::time::timeout(config.shim_deadline + Duration::from_secs(1), output);
    let output = output
        .await
        .map_err(|_| {
            Error::new(Kind::DeadlineExceeded, format!("{}: not done within {:?}", what(), config.shim_deadline))
        })?
        .step(|| format!("{}: run {}", what(), config.shim.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::internal(format!("{}: {} ({})", what(), said.trim(), output.status)));
    }
    Ok(output.stdout)
}

/// Where shims forward their events to: beside the gRPC socket.
fn ttrpc_address(address: &Path) -> std::ffi::OsString {
    let mut ttrpc = address.as_os_str().to_owned();
    ttrpc.push(".ttrpc");
    ttrpc
}
