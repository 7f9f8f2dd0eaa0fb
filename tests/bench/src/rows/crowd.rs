use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use wharf_testkit::Daemon;

use super::{Collector, Plan, Row, progress};
use crate::{
    pods::Pod,
    stats::{Summary, milliseconds},
    subject::Subject,
};

/// Readings of one state, and the time between them: allocators and collectors of garbage take a moment, and the
/// median of the readings is what counts.
const READINGS: usize = 5;
const PAUSE: Duration = Duration::from_millis(400);

/// How many pods there are when memory is read; a quick run stops at the third.
const CROWDS: [(usize, &str, &str); 5] = [
    (0, "memory-0", "memory of the daemon, no pods (PSS)"),
    (1, "memory-1", "memory of daemon and shims, 1 pod (PSS)"),
    (10, "memory-10", "memory of daemon and shims, 10 pods (PSS)"),
    (50, "memory-50", "memory of daemon and shims, 50 pods (PSS)"),
    (100, "memory-100", "memory of daemon and shims, 100 pods (PSS)"),
];

/// One after another on each subject, its pods with one container each: memory of daemon and shims, without the
/// containers, as the pods become more; then lists of all of them, and, of a private daemon, restarts.
pub(super) async fn crowd(subjects: &mut [Subject], plan: &Plan, daemon: Option<&mut Daemon>) -> Result<Vec<Row>> {
    let crowds = if plan.quick { &CROWDS[..3] } else { &CROWDS[..] };
    let most = crowds.last().map_or(0, |(count, ..)| *count);
    let mut rows = Vec::new();
    let mut pods: Vec<Vec<_>> = subjects.iter().map(|_| Vec::new()).collect();
    for (count, id, what) in crowds.iter().copied() {
        let mut row = Collector::new(id, what, "MB", subjects);
        for (at, (subject, pods)) in subjects.iter_mut().zip(&mut pods).enumerate() {
            let others = subject.shims() - pods.len().min(subject.shims());
            ensure!(others == 0, "{}: {others} pods of others run, its memory would be theirs too", subject.name());
            grow(subject, plan, pods, count).await?;
            let shims = subject.shims();
            ensure!(shims == count, "{}: {count} pods, but {shims} shims were found", subject.name());
            for _ in 0..READINGS {
                tokio::time::sleep(PAUSE).await;
                row.push(at, subject.memory()?);
            }
        }
        progress("pods at once", count, most);
        rows.push(row.row(subjects)?);
    }
    rows.push(lists(subjects, plan, most).await?);
    if let Some(daemon) = daemon {
        rows.push(restarts(&mut subjects[0], plan, daemon, most).await?);
    }
    for (subject, pods) in subjects.iter_mut().zip(&pods) {
        for pod in pods {
            subject.down(pod).await?;
        }
    }
    Ok(rows)
}

async fn grow(subject: &mut Subject, plan: &Plan, pods: &mut Vec<Pod>, count: usize) -> Result<()> {
    while pods.len() < count {
        let (pod, _) = subject.up(&plan.image, &format!("crowd-{}", pods.len()), &plan.logs).await?;
        pods.push(pod);
    }
    Ok(())
}

/// What the kubelet asks every second: all pods and all containers.
async fn lists(subjects: &mut [Subject], plan: &Plan, pods: usize) -> Result<Row> {
    let mut row = Collector::new("lists", "list of all pods and all containers, many there", "ms", subjects);
    for run in 0..plan.lists {
        for (at, subject) in subjects.iter_mut().enumerate() {
            let begin = Instant::now();
            let listed = subject.list().await?;
            row.push(at, milliseconds(begin.elapsed()));
            ensure!(listed == (pods, pods), "{}: {pods} pods, {listed:?} are listed", subject.name());
        }
        progress("lists", run + 1, plan.lists);
    }
    row.row(subjects)
}

/// `kill -9` of the daemon, then from the start of the next to its first list of all pods. A peer's cannot be told.
async fn restarts(subject: &mut Subject, plan: &Plan, daemon: &mut Daemon, pods: usize) -> Result<Row> {
    let mut times = Vec::new();
    for run in 0..plan.restarts {
        daemon.kill()?;
        let begin = Instant::now();
        daemon.launch()?;
        let mut next = Subject::connect(subject.name(), &daemon.socket(), daemon.pid()).await?;
        let listed = next.list().await?;
        times.push(milliseconds(begin.elapsed()));
        ensure!(listed == (pods, pods), "after a restart {pods} pods, {listed:?} are listed");
        *subject = next;
        progress("restarts", run + 1, plan.restarts);
    }
    let summary = Summary::of(times).context("no restart was measured")?;
    Ok(Row {
        id: "restart",
        what: "daemon killed and started, until it lists many pods",
        unit: "ms",
        of: vec![(subject.name().to_owned(), summary)],
    })
}
