use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::cni::CniPlugins;

/// A pod network by CNI's bridge, host-local and portmap, described in a folder; for a process in a network namespace of
/// its own ([`crate::own_network`]), for the bridge and the rules of portmap are made in whatever namespace it is in.
#[derive(Clone, Debug)]
pub struct BridgeNetwork {
    conf_dir: PathBuf,
    plugins: PathBuf,
    programs: PathBuf,
}

impl BridgeNetwork {
    /// Writes `net.d/10-wharf.conflist` into `dir`; addresses given out are kept in `dir` too.
    ///
    /// # Errors
    ///
    /// When the plugins cannot be had, or the file cannot be written.
    pub fn describe(dir: &Path) -> Result<Self> {
        let plugins = CniPlugins::find()?;
        let programs = dir.join("programs");
        plugins.put_iptables(&programs)?;
        let plugins = plugins.folder().to_owned();
        let conf_dir = dir.join("net.d");
        fs::create_dir_all(&conf_dir).with_context(|| format!("make {}", conf_dir.display()))?;
        let list = json!({
            "cniVersion": "1.0.0", "name": "wharf-test",
            "plugins": [
                {
                    "type": "bridge", "bridge": "wharf-test0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
                    "ipam": {
                        "type": "host-local", "dataDir": dir.join("addresses"),
                        "ranges": [[{ "subnet": "10.230.0.0/16" }]], "routes": [{ "dst": "0.0.0.0/0" }],
                    },
                },
                { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true },
            ],
        });
        let file = conf_dir.join("10-wharf.conflist");
        fs::write(&file, list.to_string()).with_context(|| format!("write {}", file.display()))?;
        Ok(Self { conf_dir, plugins, programs })
    }

    /// The daemon's configuration for it.
    pub fn config(&self) -> String {
        format!("[network]\ncni_conf_dir = {:?}\ncni_bin_dirs = [{:?}]\n", self.conf_dir, self.plugins)
    }

    /// The daemon's environment for it: portmap runs `iptables`.
    pub fn environment(&self) -> (String, String) {
        let path = std::env::var("PATH").unwrap_or_default();
        ("PATH".into(), format!("{}:{path}:/usr/sbin:/sbin", self.programs.display()))
    }
}
