use std::{fs, path::Path};

use oci_spec::runtime::{Process, Spec};
use wharf_error::{Error, Result, ResultExt as _};

use crate::Pods;

impl Pods {
    /// The OCI specification that the container was made from.
    ///
    /// # Errors
    ///
    /// `NotFound`, or what reading its bundle says.
    pub fn spec(&self, container: &str) -> Result<Spec> {
        let entry = self.inner.container_entry(container)?;
        read_spec(&entry.row().bundle(&self.inner.pods_dir()))
    }
}

/// The container's own process with other arguments. With a terminal it is told what kind, unless it knows.
pub(super) fn process(bundle: &Path, args: Vec<String>, terminal: bool) -> Result<Process> {
    let spec = read_spec(bundle)?;
    let mut process =
        spec.process().clone().ok_or_else(|| Error::internal(format!("{}: no process", bundle.display())))?;
    process.set_args(Some(args)).set_terminal(Some(terminal)).set_console_size(None);
    if terminal {
        let mut env = process.env().clone().unwrap_or_default();
        if !env.iter().any(|variable| variable.starts_with("TERM=")) {
            env.push("TERM=xterm".into());
        }
        process.set_env(Some(env));
    }
    Ok(process)
}

fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).step(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).step(|| format!("read {}", path.display()))
}
