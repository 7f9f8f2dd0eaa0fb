mod cycle;
mod folder;
mod verb;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use wharf_testkit::{Daemon, DaemonOptions};

use self::{
    cycle::Cycle,
    folder::{Aim, Folder},
    verb::Verb,
};
use crate::{node::Node, samples::Samples};

/// Which points.
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    /// Only points whose names contain this
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Only of verbs whose names contain this: `StartContainer`
    #[arg(long, value_name = "WORD")]
    verb: Option<String>,
    /// A point that one verb reaches more often is tried at so many of these times, the first and the last among them
    #[arg(long, default_value_t = 6)]
    times: u64,
    /// Leave out the rest after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    time_limit: u64,
}

/// Sweeps the points of the armed build: one life of a pod for each.
///
/// # Errors
///
/// The first thing that was not as promised, with verb, point, the end of the daemon's log and its folders, which stay.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let samples = Samples::make(0)?;
    let control = wharf_testkit::WorkDir::new("points")?;
    let folder = Folder::new(&control.root().join("points"))?;
    let shim = Daemon::bin_dir()?.join("containerd-shim-wharf-v1-armed");
    let options = DaemonOptions {
        name: "points".into(),
        program: "wharf-armed".into(),
        config: format!("[runtime]\nshim = {shim:?}\n"),
        environment: vec![("WHARF_CRASH_POINTS".into(), folder.path().display().to_string())],
        ..DaemonOptions::default()
    };
    let mut node = Node::start(&samples, options).await.context("with the armed build")?;
    let Err(error) = sweep(arguments, &folder, &mut node).await else { return Ok(()) };
    let [root, state] = node.daemon.keep();
    bail!("{error:#}\n{}\nthe folders stay: {}, {}", node.daemon.log_tail(80), root.display(), state.display())
}

async fn sweep(arguments: &Arguments, folder: &Folder, node: &mut Node) -> Result<()> {
    let begin = Instant::now();
    let counted = count(folder, node).await.context("a life in which nobody dies")?;
    let mut tried = 0;
    let (mut missed, mut left_out) = (Vec::new(), 0);
    for (verb, hits) in counted {
        if arguments.verb.as_ref().is_some_and(|word| !verb.name().contains(word)) {
            continue;
        }
        let aims: Vec<_> = hits
            .into_iter()
            .filter(|(name, _)| arguments.only.as_ref().is_none_or(|word| name.contains(word)))
            .flat_map(|(name, hits)| some_of(hits, arguments.times).map(move |times| Aim { name: name.clone(), times }))
            .collect();
        println!("{}: {} points", verb.name(), aims.len());
        for aim in aims {
            if begin.elapsed() > Duration::from_secs(arguments.time_limit) {
                left_out += 1;
                continue;
            }
            let died = Cycle::new(node, folder, tried).run(Some((verb, &aim))).await;
            tried += 1;
            match died.with_context(|| format!("{} killed at {aim}", verb.name()))? {
                true => {}
                false => missed.push(format!("{} {aim}", verb.name())),
            }
        }
    }
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{} points killed, {} of them not reached again ({}), {left_out} left out for want of time, in {took:.0} s",
        tried,
        missed.len(),
        missed.join(", ")
    );
    anyhow::ensure!(u64::from(tried) > missed.len() as u64 * 4, "most points are not reached when they are aimed at");
    println!("{}", node.starts);
    node.finish().await.context("after the last")
}

/// Which points each verb reaches, and how often.
async fn count(folder: &Folder, node: &mut Node) -> Result<Vec<(Verb, BTreeMap<String, u64>)>> {
    let mut counted = Vec::new();
    for (n, verb) in Verb::ALL.into_iter().enumerate() {
        let name = u32::try_from(n)? + 1_000_000;
        let none = Aim { name: "none".into(), times: 0 };
        Cycle::new(node, folder, name).run(Some((verb, &none))).await.with_context(|| verb.name())?;
        counted.push((verb, folder.hits()?));
    }
    Ok(counted)
}

/// Of so many times at most so many, spread over all, the first and the last among them.
fn some_of(all: u64, most: u64) -> impl Iterator<Item = u64> {
    let count = all.min(most.max(1));
    (0..count).map(move |n| if count == 1 { all } else { 1 + n * (all - 1) / (count - 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_time_are_always_tried() {
        assert_eq!(some_of(3, 6).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(some_of(100, 4).collect::<Vec<_>>(), [1, 34, 67, 100]);
        assert_eq!(some_of(5, 1).collect::<Vec<_>>(), [5]);
    }
}
