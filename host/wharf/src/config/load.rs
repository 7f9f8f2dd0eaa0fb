use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use toml::{Table, Value};
use wharf_pods::CgroupDriver;
use wharf_systemd::Slice;

use super::{Config, DEFAULT_FILE, Handler};

// === impl Config ===

impl Config {
    /// Reads the file, then `conf.d/*.toml` beside it; later values win, tables are merged.
    pub(crate) fn load(file: &Path) -> Result<Self> {
        let mut merged = parse(file)?;
        for drop_in in drop_ins(file)? {
            merge(&mut merged, parse(&drop_in)?);
        }
        // Each file was good by itself, so this can only fail where two of them disagree on a type.
        Value::Table(merged).try_into().with_context(|| format!("{} and its conf.d", file.display()))
    }

    /// As [`Config::load`]; but the default file may be absent.
    pub(crate) fn load_or_default(file: &Path) -> Result<Self> {
        if file == Path::new(DEFAULT_FILE) && !file.exists() {
            return Ok(Self::default());
        }
        Self::load(file)
    }

    /// Whether the values make sense together, as far as can be told without a daemon.
    pub(crate) fn check(&self) -> Result<()> {
        for (key, path) in [("root", &self.root), ("state", &self.state), ("socket", &self.socket())] {
            ensure!(path.is_absolute(), "{key} = {path:?}: not an absolute path");
        }
        ensure!(!self.root.starts_with(&self.state), "root = {:?} is inside of state = {:?}", self.root, self.state);
        self.check_cgroups()?;
        ensure!(
            (16..=1 << 20).contains(&self.cri.max_log_line),
            "cri.max_log_line = {}: not from 16 to 1048576",
            self.cri.max_log_line
        );
        if let Some(socket) = self.containerd_socket() {
            ensure!(socket.is_absolute(), "containerd.socket = {socket:?}: not an absolute path");
            ensure!(socket != self.socket(), "containerd.socket = {socket:?}: that is the socket of CRI");
        }
        self.check_network()?;
        ensure!(self.cri.event_buffer > 0, "cri.event_buffer = 0: every stream of events would end at once");
        ensure!(
            !self.streaming.address.is_unspecified(),
            "streaming.address = \"{}\": clients are sent to this address, so name one of the node's",
            self.streaming.address
        );
        ensure!(self.streaming.idle_timeout > 0, "streaming.idle_timeout = 0: every stream would end at once");
        let (certificate, key) = (self.streaming.tls_certificate.is_some(), self.streaming.tls_key.is_some());
        ensure!(certificate == key, "streaming.tls_certificate and streaming.tls_key: one is no use without the other");
        ensure!(
            certificate || self.streaming.tls_client_ca.is_none(),
            "streaming.tls_client_ca: clients show certificates only over TLS; set tls_certificate and tls_key"
        );
        ensure!(
            self.registry.max_concurrent_downloads > 0,
            "registry.max_concurrent_downloads = 0: nothing could be pulled"
        );
        let (layer, image) = (self.registry.max_layer_bytes, self.registry.max_image_bytes);
        ensure!(layer > 0, "registry.max_layer_bytes = 0: nothing could be pulled");
        ensure!(image >= layer, "registry.max_image_bytes = {image}: less than max_layer_bytes, {layer}");
        self.registry.pinned()?;
        self.check_runtimes()?;
        let filter: Result<tracing_subscriber::EnvFilter, _> = self.log.level.parse();
        filter.with_context(|| format!("log.level = {:?}", self.log.level))?;
        Ok(())
    }
}

impl Config {
    fn check_runtimes(&self) -> Result<()> {
        let runtime = &self.runtime;
        for (key, seconds) in [
            ("shim_deadline", runtime.shim_deadline),
            ("step_deadline", runtime.step_deadline),
            ("kill_deadline", runtime.kill_deadline),
        ] {
            ensure!(seconds > 0, "runtime.{key} = 0: nothing could be done");
        }
        let (runtimes, default) = (self.runtimes(), &self.runtime.default_handler);
        ensure!(
            runtimes.contains_key(default),
            "runtime.default_handler = {default:?}: there is no [runtimes.{default}]"
        );
        for (name, handler) in &runtimes {
            match handler {
                Handler::Native {} => {}
                Handler::Oci { path, options, .. } => {
                    ensure!(path.is_absolute(), "runtimes.{name}.path = {path:?}: not an absolute path");
                    ensure!(
                        !options.iter().any(|option| option_name(option) == "systemd-cgroup"),
                        "runtimes.{name}.options: --systemd-cgroup: it is given the path of a control group, which with \
                         cri.cgroup_driver = \"systemd\" is in a scope of systemd's already: leave it out"
                    );
                    if let Some(ours) = options.iter().find(|option| is_ours(option)) {
                        bail!("runtimes.{name}.options: {ours} is set by the shim");
                    }
                }
                Handler::Shim { path, binary, config, .. } => {
                    for (key, path) in [("path", Some(path)), ("binary", binary.as_ref()), ("config", config.as_ref())]
                    {
                        let absolute = path.is_none_or(|path| path.is_absolute());
                        ensure!(absolute, "runtimes.{name}.{key} = {path:?}: not an absolute path");
                    }
                }
            }
            handler.passed_annotations().with_context(|| format!("runtimes.{name}"))?;
        }
        Ok(())
    }

    fn check_cgroups(&self) -> Result<()> {
        let parent = self.cri.cgroup_parent();
        match self.cri.cgroup_driver {
            CgroupDriver::Cgroupfs => {
                ensure!(
                    parent.starts_with('/') && parent.len() > 1,
                    "cri.cgroup_parent = {parent:?}: not an absolute path below the root"
                );
            }
            CgroupDriver::Systemd => {
                let what = || format!("cri.cgroup_parent = {parent:?}, with cgroup_driver = \"systemd\"");
                Slice::parse(parent).with_context(what)?;
            }
        }
        Ok(())
    }

    fn check_network(&self) -> Result<()> {
        let network = &self.network;
        ensure!(
            network.cni_conf_dir.is_absolute(),
            "network.cni_conf_dir = {:?}: not an absolute path",
            network.cni_conf_dir
        );
        ensure!(!network.cni_bin_dirs.is_empty(), "network.cni_bin_dirs: no folder, and so no plugin could be found");
        for dir in &network.cni_bin_dirs {
            // A plugin finds its helpers in these folders too, joined with colons.
            let plain = dir.is_absolute() && !dir.as_os_str().as_encoded_bytes().contains(&b':');
            ensure!(plain, "network.cni_bin_dirs: {dir:?} is not an absolute path without a colon");
        }
        ensure!(network.plugin_timeout > 0, "network.plugin_timeout = 0: no plugin could do anything");
        Ok(())
    }
}

/// An option of a command line like runc's that the shim itself sets: `--log`, not `--log-level`.
fn is_ours(option: &str) -> bool {
    matches!(option_name(option), "root" | "log" | "log-format")
}

/// Without its dashes and its value.
fn option_name(option: &str) -> &str {
    option.split_once('=').map_or(option, |(name, _)| name).trim_start_matches('-')
}

/// Parses one file, and checks its keys while file and line are still known.
fn parse(file: &Path) -> Result<Table> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    // The parser's message names line and column and shows the place.
    if let Err(error) = toml::from_str::<Config>(&text) {
        bail!("{}: {}", file.display(), error.to_string().trim_end());
    }
    toml::from_str(&text).with_context(|| format!("parse {}", file.display()))
}

fn drop_ins(file: &Path) -> Result<Vec<PathBuf>> {
    let folder = file.with_file_name("conf.d");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("read {}", folder.display()))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("read {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_TEXT;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        fs::write(&file, text).unwrap();
        (dir, file)
    }

    #[test]
    fn with_systemd_the_parent_is_a_slice() {
        let check = |text: &str| toml::from_str::<Config>(text).unwrap().check().map_err(|error| format!("{error:#}"));
        check("[cri]\ncgroup_driver = \"systemd\"\n").unwrap();
        check("[cri]\ncgroup_driver = \"systemd\"\ncgroup_parent = \"a-b.slice\"\n").unwrap();
        let error = check("[cri]\ncgroup_driver = \"systemd\"\ncgroup_parent = \"/wharf\"\n").unwrap_err();
        assert!(error.contains("/wharf") && error.contains("slice"), "{error}");
        assert!(check("[cri]\ncgroup_parent = \"a.slice\"\n").is_err());
    }

    #[test]
    fn the_printed_default_is_the_default() {
        assert_eq!(toml::from_str::<Config>(DEFAULT_TEXT).unwrap(), Config::default());
        Config::default().check().unwrap();
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_file_and_line() {
        let (_dir, file) = written("root = \"/x\"\n[cri]\ncgroup_parrent = \"/y\"\n");
        let error = Config::load(&file).unwrap_err().to_string();
        assert!(
            error.contains("config.toml") && error.contains("line 3") && error.contains("cgroup_parrent"),
            "{error}"
        );
    }

    #[test]
    fn streams_need_an_address_that_clients_can_be_sent_to() {
        let (_dir, file) = written("[streaming]\naddress = \"0.0.0.0\"\n");
        let error = Config::load(&file).unwrap().check().unwrap_err().to_string();
        assert!(error.contains("streaming.address") && error.contains("0.0.0.0"), "{error}");
        let (_dir, file) = written("[streaming]\naddress = \"node-1\"\n");
        assert!(Config::load(&file).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn the_network_is_judged_by_name() {
        for (line, word) in [
            ("mode = \"bridge\"", "line 2"),
            ("cni_conf_dir = \"net.d\"", "cni_conf_dir"),
            ("cni_bin_dirs = []", "cni_bin_dirs"),
            ("cni_bin_dirs = [\"/a:b\"]", "/a:b"),
            ("plugin_timeout = 0", "plugin_timeout"),
        ] {
            let (_dir, file) = written(&format!("[network]\n{line}\n"));
            let error = Config::load(&file).and_then(|config| config.check()).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
        let (_dir, file) = written("[network]\nmode = \"loopback\"\nmax_conf = 0\nprefer = \"ipv6\"\n");
        Config::load(&file).unwrap().check().unwrap();
    }

    #[test]
    fn an_image_may_have_as_many_bytes_as_a_layer_at_least() {
        let check = |lines: &str| {
            let (_dir, file) = written(&format!("[registry]\n{lines}\n"));
            Config::load(&file).and_then(|config| config.check()).map_err(|error| error.to_string())
        };
        check("max_layer_bytes = 1000\nmax_image_bytes = 1000").unwrap();
        for lines in ["max_layer_bytes = 1000\nmax_image_bytes = 999", "max_layer_bytes = 0", "max_image_bytes = 1000"]
        {
            assert!(check(lines).unwrap_err().contains("bytes = "), "{lines}");
        }
    }

    #[test]
    fn pinned_images_are_names_in_any_spelling() {
        let load = |names: &str| {
            let (_dir, file) = written(&format!("[registry]\npinned_images = {names}\n"));
            let config = Config::load(&file).unwrap();
            config.check().and_then(|()| config.registry.pinned())
        };
        let pinned = load("['busybox', 'r.example:5000/a/b:1']").unwrap();
        assert!(pinned.contains("docker.io/library/busybox:latest") && pinned.contains("r.example:5000/a/b:1"));
        let error = load("['Bad Name']").unwrap_err();
        assert!(format!("{error:#}").contains("pinned_images: \"Bad Name\""), "{error:#}");
    }

    #[test]
    fn the_socket_for_cadvisor_is_another_one_or_none() {
        let with = |line: &str| {
            let (_dir, file) = written(&format!("state = \"/s\"\n[containerd]\n{line}\n"));
            let config = Config::load(&file).unwrap();
            config.check().map(|()| config.containerd_socket())
        };
        assert_eq!(with("").unwrap(), Some("/s/containerd.sock".into()));
        assert_eq!(with("socket = \"/x.sock\"").unwrap(), Some("/x.sock".into()));
        assert_eq!(with("socket = \"\"").unwrap(), None);
        for bad in ["socket = \"x.sock\"", "socket = \"/s/wharf.sock\""] {
            assert!(with(bad).unwrap_err().to_string().contains("containerd.socket"), "{bad}");
        }
    }

    #[test]
    fn runtime_handlers_are_checked() {
        let check = |text: &str| {
            let (_dir, file) = written(text);
            Config::load(&file).and_then(|config| config.check()).map_err(|error| error.to_string())
        };
        check("[runtime]\ndefault_handler = \"runc\"\n[runtimes.runc]\ntype = \"oci\"\npath = \"/usr/sbin/runc\"\n")
            .unwrap();
        for (text, word) in [
            ("[runtime]\ndefault_handler = \"kata\"\n", "no [runtimes.kata]"),
            ("[runtimes.a]\ntype = \"oci\"\npath = \"runc\"\n", "not an absolute path"),
            ("[runtimes.a]\ntype = \"oci\"\n", "path"),
            ("[runtimes.a]\ntype = \"vm\"\n", "vm"),
            ("[runtimes.a]\ntype = \"shim\"\npath = \"/x\"\nbinary = \"runc\"\n", "binary"),
            ("[runtimes.a]\ntype = \"native\"\npath = \"/x\"\n", "path"),
            ("[runtimes.a]\ntype = \"oci\"\npath = \"/x\"\noptions = [\"--root=/y\"]\n", "--root=/y"),
            ("[runtimes.a]\ntype = \"oci\"\npath = \"/x\"\noptions = [\"--systemd-cgroup\"]\n", "leave it out"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn an_unknown_key_of_a_plugin_is_an_error_too() {
        let (_dir, file) = written("[plugins.overlayfs]\ngrants = []\n");
        let error = Config::load(&file).unwrap_err().to_string();
        assert!(error.contains("grants"), "{error}");
    }

    #[test]
    fn drop_ins_win_in_the_order_of_their_names() {
        let (dir, file) = written("root = \"/x\"\n[cri]\nmax_log_line = 100\n");
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        fs::write(dir.path().join("conf.d/10-a.toml"), "[cri]\ncgroup_parent = \"/a\"\n").unwrap();
        fs::write(dir.path().join("conf.d/20-b.toml"), "[cri]\ncgroup_parent = \"/b\"\n").unwrap();
        fs::write(dir.path().join("conf.d/30-c.off"), "nonsense").unwrap();
        let config = Config::load(&file).unwrap();
        assert_eq!((config.cri.cgroup_parent(), config.cri.max_log_line), ("/b", 100));
        fs::write(dir.path().join("conf.d/40-d.toml"), "rooot = 1\n").unwrap();
        assert!(Config::load(&file).unwrap_err().to_string().contains("40-d.toml"));
    }
}
