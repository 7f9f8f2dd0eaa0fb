use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_testkit::{CniPlugins, DaemonOptions, Kind, NetNs, busybox, need, root};

use crate::Node;

/// Passes on what the plugin before it has made. Told so by a file beside it, it waits or fails with a verb, and it writes
/// down what it is asked.
const PROBE: &str = r#"#!/bin/sh
conf=$(cat)
[ "$CNI_COMMAND" = VERSION ] && { echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'; exit 0; }
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_ARGS $conf" >> HERE/asked
if [ -e HERE/hang-$CNI_COMMAND ]; then echo $$ > HERE/hanging; exec sleep 600; fi
if [ -e HERE/fail-$CNI_COMMAND ]; then echo '{"code":100,"msg":"the test lets this fail"}'; exit 1; fi
[ "$CNI_COMMAND" = ADD ] || exit 0
printf '%s' "$conf" | sed -e 's/.*"prevResult"://' -e 's/,"runtimeConfig":.*//' -e 's/,"type":"probe".*//'
"#;

/// A network of its own with Debian's plugins, in which a private daemon runs: the machine's interfaces and firewall stay
/// as they are.
#[derive(Debug)]
pub struct Cni {
    /// The network that daemon and bridge are in.
    pub network: NetNs,
    dir: TempDir,
    plugins: CniPlugins,
}

impl Cni {
    /// Makes one, or `None` after saying why the test is skipped.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn start() -> Option<Self> {
        need(root())?;
        let plugins = need(CniPlugins::find())?;
        let network = need(NetNs::new())?;
        Some(Self::make(network, plugins).unwrap_or_else(|error| panic!("make a network for a test: {error:#}")))
    }

    fn make(network: NetNs, plugins: CniPlugins) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("wharf-cni-").tempdir().context("make a folder")?;
        for folder in ["net.d", "bin", "data"] {
            fs::create_dir(dir.path().join(folder)).with_context(|| format!("make {folder}"))?;
        }
        plugins.put_iptables(&dir.path().join("tools"))?;
        let probe = dir.path().join("bin/probe");
        fs::write(&probe, PROBE.replace("HERE", &dir.path().display().to_string())).context("write a plugin")?;
        fs::set_permissions(&probe, fs::Permissions::from_mode(0o755))?;
        Ok(Self { network, dir, plugins })
    }

    /// A node in this network, with an image; `more` is added to its table `[network]`.
    ///
    /// # Panics
    ///
    /// When the daemon does not start, or does not take the image.
    pub fn node(&self, more: &str) -> Option<Node> {
        let folders = [self.dir.path().join("bin"), self.plugins.folder().to_owned()];
        let conf_dir = self.dir.path().join("net.d");
        let config = format!("[network]\ncni_conf_dir = {conf_dir:?}\ncni_bin_dirs = {folders:?}\n{more}\n");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}:/usr/sbin:/sbin", self.dir.path().join("tools").display());
        let node = Node::with(DaemonOptions {
            config,
            environment: vec![("PATH".into(), path)],
            network: Some(self.network.clone()),
            ..DaemonOptions::default()
        })?;
        self.import(&node).unwrap_or_else(|error| panic!("import an image: {error:#}"));
        Some(node)
    }

    // The registry of the tests is in the machine's network, which the daemon does not see.
    fn import(&self, node: &Node) -> Result<()> {
        let archive = self.dir.path().join("busybox.tar");
        busybox(Kind::Oci)?.write_oci_archive(&archive, &Node::image())?;
        let out = node.daemon.wharf(&["image", "import", &archive.display().to_string()]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        fs::remove_file(&archive).context("remove the archive")
    }

    /// A file of the folder in which the plugin `probe` looks for its orders.
    pub fn order(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `probe` was asked so far, a line a question; VERSION is not told.
    pub fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.order("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Writes a network configuration.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn configure(&self, file: &str, config: &Value) {
        let path = self.dir.path().join("net.d").join(file);
        fs::write(&path, config.to_string()).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    }

    /// A bridge with addresses of both families, ports of the node, and the plugin `probe` at the end.
    pub fn bridge(&self) -> Value {
        json!({
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                self.bridge_plugin("br0", &["10.231.0.0/24", "fd31::/64"]),
                { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true },
                { "type": "probe", "capabilities": {
                    "portMappings": true, "bandwidth": true, "dns": true, "ipRanges": true,
                    "io.kubernetes.cri.pod-annotations": true, "cgroupPath": true,
                } },
            ],
        })
    }

    /// The plugin `bridge` with host-local addresses from these ranges.
    pub fn bridge_plugin(&self, bridge: &str, ranges: &[&str]) -> Value {
        let ranges: Vec<_> = ranges.iter().map(|range| json!([{ "subnet": range }])).collect();
        json!({
            "type": "bridge", "bridge": bridge, "isGateway": true, "ipMasq": true, "hairpinMode": true,
            "ipam": { "type": "host-local", "ranges": ranges, "dataDir": self.data(), "routes": [{ "dst": "0.0.0.0/0" }] },
        })
    }

    /// The addresses that host-local keeps for somebody.
    pub fn addresses(&self) -> Vec<String> {
        let networks = fs::read_dir(self.data()).into_iter().flatten().flatten();
        let files = networks.flat_map(|network| fs::read_dir(network.path()).into_iter().flatten().flatten());
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        let mut found: Vec<_> = names.filter(|name| name.starts_with("10.") || name.starts_with("fd")).collect();
        found.sort();
        found
    }

    /// The firewall's address translations of IPv4, as `iptables-save` prints them.
    ///
    /// # Panics
    ///
    /// When they cannot be read.
    pub fn translations(&self) -> String {
        self.iptables("iptables-save", &["-t", "nat"])
    }

    /// Takes the address translations away, as a reboot does.
    ///
    /// # Panics
    ///
    /// When they cannot be.
    pub fn forget_translations(&self) {
        for family in ["iptables", "ip6tables"] {
            self.iptables(family, &["-t", "nat", "-F"]);
            self.iptables(family, &["-t", "nat", "-X"]);
        }
    }

    fn iptables(&self, program: &str, arguments: &[&str]) -> String {
        let tools = self.dir.path().join("tools");
        let path = format!("{}:{}:/usr/sbin:/sbin", tools.display(), std::env::var("PATH").unwrap_or_default());
        // A program is looked for by the path of the one who starts it.
        let own = tools.join(program);
        let found = if own.is_file() { own } else { program.into() };
        let run = || Command::new(found).args(arguments).env("PATH", &path).output();
        let out = self.network.run(run).and_then(|out| Ok(out?)).unwrap_or_else(|error| panic!("{program}: {error:#}"));
        assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Removes everything from a node and proves that its pods have left nothing in the network either.
    ///
    /// # Panics
    ///
    /// When something is left.
    pub fn finish(self, node: Node) {
        node.finish();
        assert_eq!(self.addresses(), Vec::<String>::new(), "addresses are still kept");
        let rules = self.translations();
        // portmap keeps its own chains, a pod's are named after it, and so are those of a masquerading bridge.
        let left: Vec<_> = rules.lines().filter(|line| line.contains("CNI-DN-") || line.contains("10.231.")).collect();
        assert!(left.is_empty(), "rules are left: {left:#?}");
    }

    fn data(&self) -> PathBuf {
        Path::new(self.dir.path()).join("data")
    }
}
