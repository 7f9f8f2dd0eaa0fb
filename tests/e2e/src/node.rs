use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use wharf_testkit::{Crictl, Daemon, DaemonOptions, Leaks, need, root, wait_for};

use crate::images::{IMAGES, registry_address};

const EXIT: Duration = Duration::from_secs(20);

/// A private node: a daemon of its own, crictl on its socket, the shared images behind a mirror.
#[derive(Debug)]
pub struct Node {
    /// The daemon.
    pub daemon: Daemon,
    /// crictl on its socket.
    pub crictl: Crictl,
    leaks: Leaks,
    files: PathBuf,
}

/// A pod that runs.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its id.
    pub id: String,
    /// The file with its configuration, which crictl wants again for each container.
    pub config: String,
    /// Where its containers' logs go.
    pub logs: PathBuf,
}

impl Node {
    /// A node with `images.test/busybox:1` pulled, or `None` after saying why the test is skipped.
    ///
    /// # Panics
    ///
    /// When the daemon does not start, or the pull fails.
    pub fn start() -> Option<Self> {
        let node = Self::empty()?;
        node.ok(&["pull", &Self::image()]);
        Some(node)
    }

    /// As [`Node::start`] without any image.
    ///
    /// # Panics
    ///
    /// When the daemon does not start.
    pub fn empty() -> Option<Self> {
        Self::with(DaemonOptions::default())
    }

    /// As [`Node::empty`], with more configuration.
    ///
    /// # Panics
    ///
    /// When the daemon does not start.
    pub fn with(mut options: DaemonOptions) -> Option<Self> {
        need(root())?;
        need(Crictl::find())?;
        let address = need(registry_address())?;
        options.name = "e2e".into();
        options.mirrors.push((IMAGES.into(), address));
        let node = Self::make(&options).unwrap_or_else(|error| panic!("start a node: {error:#}"));
        Some(node)
    }

    fn make(options: &DaemonOptions) -> Result<Self> {
        let daemon = Daemon::start(options)?;
        // Its configuration stands beside the daemon's, before the look at what is there.
        let crictl = Crictl::new(&daemon.socket(), daemon.scratch())?;
        let leaks = Leaks::watch(daemon.scope());
        let files = daemon.scratch().join("test");
        fs::create_dir(&files).context("make a folder for the test's files")?;
        Ok(Self { daemon, crictl, leaks, files })
    }

    /// The image that most tests run.
    pub fn image() -> String {
        format!("{IMAGES}/busybox:1")
    }

    /// Runs crictl and wants success.
    ///
    /// # Panics
    ///
    /// When it fails, with what it said.
    pub fn ok(&self, arguments: &[&str]) -> String {
        self.crictl.ok(arguments).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Runs crictl and wants failure; what it said.
    ///
    /// # Panics
    ///
    /// When it succeeds.
    pub fn fails(&self, arguments: &[&str]) -> String {
        self.crictl.fails(arguments).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Runs crictl with `-o json`.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.crictl.json(arguments).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Writes a file for the test.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.files.join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        path.display().to_string()
    }

    /// Writes a pod's configuration: a private network namespace, a log folder, and what `change` does to it.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn pod_config(&self, name: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut config = json!({
            "metadata": { "name": name, "uid": format!("uid-of-{name}"), "namespace": "tests", "attempt": 1 },
            "hostname": name,
            "log_directory": self.logs(name),
            "labels": { "test": name },
        });
        change(&mut config);
        self.file(&format!("pod-{name}.json"), &config.to_string())
    }

    /// Writes a container's configuration: busybox, a log file, and what `change` does to it.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn container_config(&self, name: &str, script: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut config = json!({
            "metadata": { "name": name, "attempt": 1 },
            "image": { "image": Self::image() },
            "command": ["sh", "-c", script],
            "log_path": format!("{name}.log"),
        });
        change(&mut config);
        self.file(&format!("container-{name}.json"), &config.to_string())
    }

    /// Runs a pod.
    ///
    /// # Panics
    ///
    /// When crictl fails.
    pub fn pod(&self, name: &str) -> Pod {
        self.pod_with(name, |_| {})
    }

    /// Runs a pod whose configuration `change` has changed.
    ///
    /// # Panics
    ///
    /// When crictl fails.
    pub fn pod_with(&self, name: &str, change: impl FnOnce(&mut Value)) -> Pod {
        let config = self.pod_config(name, change);
        Pod { id: self.ok(&["runp", &config]), config, logs: self.logs(name) }
    }

    /// Creates a container that will run `script`; its id.
    ///
    /// # Panics
    ///
    /// When crictl fails.
    pub fn create(&self, pod: &Pod, name: &str, script: &str, change: impl FnOnce(&mut Value)) -> String {
        let config = self.container_config(name, script, change);
        self.ok(&["create", &pod.id, &config, &pod.config])
    }

    /// Creates and starts a container that runs `script`; its id.
    ///
    /// # Panics
    ///
    /// When crictl fails.
    pub fn run(&self, pod: &Pod, name: &str, script: &str) -> String {
        self.run_with(pod, name, script, |_| {})
    }

    /// As [`Node::run`], with a changed configuration.
    ///
    /// # Panics
    ///
    /// When crictl fails.
    pub fn run_with(&self, pod: &Pod, name: &str, script: &str, change: impl FnOnce(&mut Value)) -> String {
        let id = self.create(pod, name, script, change);
        self.ok(&["start", &id]);
        id
    }

    /// Runs a script to its end and returns its log (standard output and error, as `crictl logs` shows them) and exit code.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn outcome(&self, pod: &Pod, name: &str, script: &str, change: impl FnOnce(&mut Value)) -> (String, i64) {
        let id = self.run_with(pod, name, script, change);
        let code = self.exit_code(&id);
        (self.log(&id), code)
    }

    /// Runs a command in a container and wants success.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn exec(&self, id: &str, script: &str) -> String {
        self.ok(&["exec", "-s", id, "sh", "-c", script])
    }

    /// What `wharf plugin ls --json` says.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn plugins(&self) -> Value {
        let out = self.daemon.wharf(&["plugin", "ls", "--json"]).output().unwrap_or_else(|error| panic!("{error}"));
        assert!(out.status.success(), "wharf plugin ls: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("wharf plugin ls: {error}"))
    }

    /// The status part of `crictl inspect`.
    ///
    /// # Panics
    ///
    /// When crictl fails.
    pub fn status(&self, id: &str) -> Value {
        self.json(&["inspect", id])["status"].clone()
    }

    /// Waits until a container has ended; its exit code.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn exit_code(&self, id: &str) -> i64 {
        self.wait_state(id, "CONTAINER_EXITED")["exitCode"].as_i64().unwrap_or(0)
    }

    /// Waits until a container is in this state; its status.
    ///
    /// # Panics
    ///
    /// When it does not get there.
    pub fn wait_state(&self, id: &str, state: &str) -> Value {
        let mut status = Value::Null;
        let there = wait_for(EXIT, || {
            status = self.status(id);
            status["state"] == state
        });
        assert!(there, "container {id} is not {state} after {EXIT:?}: {status:#}");
        status
    }

    /// What `crictl logs` shows of a container, both streams.
    ///
    /// # Panics
    ///
    /// When crictl fails.
    pub fn log(&self, id: &str) -> String {
        let ran = self.crictl.run(&["logs", id]).unwrap_or_else(|error| panic!("{error:#}"));
        assert!(ran.status.success(), "crictl logs {id}: {}{}", ran.stdout, ran.stderr);
        ran.stdout + &ran.stderr
    }

    /// Waits until the log of a container holds this text; the log.
    ///
    /// # Panics
    ///
    /// When it never does.
    pub fn wait_log(&self, id: &str, text: &str) -> String {
        let mut log = String::new();
        let there = wait_for(EXIT, || {
            log = self.log(id);
            log.contains(text)
        });
        assert!(there, "container {id}: {text:?} is not in its log after {EXIT:?}: {log}");
        log
    }

    /// The id on the host of a container's first process.
    ///
    /// # Panics
    ///
    /// When crictl does not tell.
    pub fn pid(&self, id: &str) -> i64 {
        let inspected = self.json(&["inspect", id]);
        inspected["info"]["pid"].as_i64().unwrap_or_else(|| panic!("no info.pid in {inspected:#}"))
    }

    /// Removes everything through crictl, stops the daemon, and proves that nothing is left at either point.
    ///
    /// # Panics
    ///
    /// When something fails or is left.
    pub fn finish(mut self) {
        for pod in self.ok(&["pods", "-q"]).lines() {
            self.ok(&["stopp", pod]);
            self.ok(&["rmp", pod]);
        }
        for image in self.ok(&["images", "-q"]).lines() {
            self.ok(&["rmi", image]);
        }
        fs::remove_dir_all(&self.files).unwrap_or_else(|error| panic!("remove the test's own files: {error}"));
        self.leaks.assert_same();
        let status = self.daemon.stop().unwrap_or_else(|error| panic!("{error:#}"));
        assert!(status.success(), "the daemon ended with {status}");
        let alive = self.daemon.scope().alive();
        assert!(alive.is_empty(), "after the daemon has stopped there is still:\n  {}", alive.join("\n  "));
    }

    fn logs(&self, pod: &str) -> PathBuf {
        self.files.join("logs").join(pod)
    }
}
