use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures Wharf, and runtimes beside it: pods up and down, exec, memory, pulls, plugin calls.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub struct Arguments {
    /// A runtime to measure in the same run, by the CRI socket it listens on; its own sandbox image must be there
    #[arg(long = "peer", value_name = "NAME=SOCKET", value_parser = named_socket)]
    pub peers: Vec<(String, PathBuf)>,
    /// Measure this daemon instead of a private one
    #[arg(long, value_name = "SOCKET")]
    pub ours: Option<PathBuf>,
    /// The process of --ours, where the owner of its socket is another (socket activation)
    #[arg(long, value_name = "PID", requires = "ours")]
    pub daemon_pid: Option<u32>,
    /// What the containers run, with `sleep` and `true` in it; made on the spot and served on loopback without this
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// Measure pulling this image in place of the one of 306 MB that is made of Debian's packages and served on
    /// loopback; it is removed before each pull, and afterwards
    #[arg(long, value_name = "NAME")]
    pub pull: Option<String>,
    /// Write everything to this file, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// End with 1 when a promise is broken that SPECIFICATION.md does not call open
    #[arg(long)]
    pub judge: bool,
    /// A fifth of the runs: to see that it works
    #[arg(long)]
    pub quick: bool,
    /// Only these measures; all without it
    #[arg(long = "only", value_name = "MEASURE", value_delimiter = ',')]
    pub only: Vec<Measure>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Measure {
    /// A pod and its container, up and down
    Up,
    /// ExecSync of `true`
    Exec,
    /// Many pods at once: memory of daemon and shims with 0 to 100, lists of all, restart of a private daemon
    Crowd,
    /// How fast a container can write its log
    Logs,
    /// A large image from a registry on loopback
    Pull,
    /// The overlayfs plugin against the same work in native code
    PluginCall,
}

// === impl Arguments ===

impl Arguments {
    pub fn wants(&self, measure: Measure) -> bool {
        self.only.is_empty() || self.only.contains(&measure)
    }

    /// Whether any daemon is needed at all.
    pub fn asks_a_daemon(&self) -> bool {
        [Measure::Up, Measure::Exec, Measure::Crowd, Measure::Logs, Measure::Pull].iter().any(|m| self.wants(*m))
    }

    /// Pods up and down, of each runtime.
    pub fn runs(&self) -> usize {
        if self.quick { 10 } else { 50 }
    }

    pub fn execs(&self) -> usize {
        if self.quick { 20 } else { 100 }
    }

    pub fn lists(&self) -> usize {
        if self.quick { 100 } else { 1000 }
    }

    pub fn restarts(&self) -> usize {
        if self.quick { 3 } else { 10 }
    }

    pub fn logs(&self) -> usize {
        if self.quick { 1 } else { 5 }
    }

    pub fn pulls(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    pub fn calls(&self) -> usize {
        if self.quick { 200 } else { 1000 }
    }
}

fn named_socket(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, socket)) if !name.is_empty() && socket.starts_with('/') => Ok((name.to_owned(), socket.into())),
        _ => Err("NAME=SOCKET is asked for, as in containerd=/run/containerd/containerd.sock".into()),
    }
}
