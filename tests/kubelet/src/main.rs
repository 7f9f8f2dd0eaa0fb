//! A real kubelet in standalone mode on a private daemon: what a node does all day, by static pods.
//!
//! All of it happens in network and mount namespaces of its own; pods get their network by CNI's bridge and portmap.
#![forbid(unsafe_code)]

mod cgroup_root;
mod client;
mod kubelet;
mod node;
mod pods;
mod scenarios;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use wharf_testkit::{CniPlugins, Compression, DockerRegistry, busybox_layers};

use self::{node::Node, scenarios::SCENARIOS};

/// Runs a kubelet on a private Wharf daemon and judges what its static pods do
#[derive(Debug, Parser)]
#[command(name = "wharf-kubelet")]
struct Arguments {
    /// The kubelet program
    #[arg(long)]
    kubelet: PathBuf,
    /// Only fetch what the node is made of, for a machine without a network
    #[arg(long)]
    prepare: bool,
    /// Only scenarios whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// A socket of a CRI runtime that runs already is judged instead of a private daemon
    #[arg(long)]
    endpoint: Option<PathBuf>,
    /// Where that runtime reads hosts.toml files
    #[arg(long, requires = "endpoint")]
    certs_d: Option<PathBuf>,
    /// systemd makes the control groups, also those of the kubelet, which has the node's `kubepods.slice`: for a guest
    #[arg(long)]
    systemd: bool,
    /// Keep the kubelet's and the daemon's logs in this folder
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubelet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    wharf_testkit::root()?;
    // While packages can still be fetched.
    let layers = busybox_layers([Compression::Gzip; 3])?;
    DockerRegistry::find()?;
    CniPlugins::find()?;
    if arguments.prepare {
        return Ok(());
    }
    // Before any thread is started: they would stay in the old ones.
    if arguments.endpoint.is_none() {
        wharf_testkit::own_network()?;
    }
    wharf_testkit::own_mounts(&["/var/log", "/var/lib/kubelet"])?;
    let mut node = Node::start(arguments, &layers)?;
    let (mut passed, mut failed) = (0, 0);
    for (name, scenario) in SCENARIOS {
        if arguments.only.as_deref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let begin = Instant::now();
        let result = scenario(&mut node).and_then(|()| node.no_pods());
        let took = begin.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                passed += 1;
                println!("  ✓ {name} {took:.1} s");
            }
            Err(error) => {
                failed += 1;
                println!("  ✗ {name} {took:.1} s: {error:#}");
                println!("{}", node.log_tails());
                // The next scenario begins on an empty node if that can be had.
                let _ = node.remove_all();
            }
        }
    }
    let left = node.finish(arguments.keep.as_deref());
    println!("kubelet: {passed} passed, {failed} failed");
    left?;
    ensure!(failed == 0 && passed > 0, "{failed} of {} scenarios failed", passed + failed);
    Ok(())
}
