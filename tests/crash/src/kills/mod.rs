mod killer;
mod life;
mod plan;
mod puller;
mod shared;
mod worker;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use wharf_testkit::DaemonOptions;

use self::{killer::Killer, puller::Puller};
pub use self::{life::Life, plan::Plan, shared::Shared, worker::Worker};
use crate::{
    node::{Node, pull},
    samples::Samples,
};

/// How much is killed.
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    /// How many times something is killed
    #[arg(long, default_value_t = 1000)]
    kills: u32,
    /// Repeats the choices of the run that printed it; what they meet differs with the machine's mood
    #[arg(long)]
    seed: Option<u64>,
    /// Kill no more after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    time_limit: u64,
    /// Pods that live at the same time
    #[arg(long, default_value_t = 5)]
    pods: u32,
    /// Images that are pulled at the same time
    #[arg(long, default_value_t = 2)]
    pulls: u32,
}

/// Kills, looks, and looks whether anything is left.
///
/// # Errors
///
/// The first thing that was not as promised, with the seed, the step, the end of the daemon's log and its folders, which stay.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(|| rand::rng().random());
    println!("seed {seed}: {} kills, {} pods and {} pulls at a time", arguments.kills, arguments.pods, arguments.pulls);
    let samples = Samples::make(usize::try_from(arguments.pulls)?)?;
    let options = DaemonOptions {
        name: "crash".into(),
        log_level: "info,wharf_pods=debug,wharf_images=debug,wharf_snapshots=debug".into(),
        ..DaemonOptions::default()
    };
    let mut node = Node::start(&samples, options).await?;
    let result = crashes(arguments, seed, &samples, &mut node).await;
    let Err(error) = result else { return Ok(()) };
    let [root, state] = node.daemon.keep();
    let repeat = format!("cargo xtask crash kills --seed {seed}");
    bail!(
        "{error:#}\n{}\nthe seed is {seed} ({repeat}); the folders stay: {}, {}",
        node.daemon.log_tail(60),
        root.display(),
        state.display()
    )
}

async fn crashes(arguments: &Arguments, seed: u64, samples: &Samples, node: &mut Node) -> Result<()> {
    pull(&node.cri, &Samples::base()).await.context("pull the image that pods run")?;
    let shared = Arc::new(Shared::new(node.cri.clone(), node.logs.clone(), node.daemon.state()));
    // Each has choices of its own, which do not depend on how far the others are.
    let random = |stream: u64| StdRng::seed_from_u64(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..arguments.pods {
        tasks.spawn(Worker::new(shared.clone(), n, random(1 + u64::from(n))).run());
    }
    for ((n, image), stream) in samples.passing.iter().enumerate().zip(1000..) {
        tasks.spawn(Puller::new(shared.clone(), n, image.clone(), random(stream)).run());
    }
    let limit = Duration::from_secs(arguments.time_limit);
    let killed = Killer::new(shared.clone(), random(0)).run(node, arguments.kills, limit).await;
    shared.end();
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task of this program")?;
    }
    // What went wrong first is told first: without a daemon everybody complains.
    let killed = killed?;
    shared.outcome()?;
    println!("{killed}\n{}\n{}", shared.counts(), node.starts);
    node.finish().await.context("after all was removed")
}
