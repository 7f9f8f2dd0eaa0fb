use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Collector, Plan, Row, progress};
use crate::subject::Subject;

/// Readings of one state, and the time between them: allocators and collectors of garbage take a moment, and the
/// median of the readings is what counts.
const READINGS: usize = 5;
const PAUSE: Duration = Duration::from_millis(400);

/// Daemon and shims, without the containers: idle, with one pod, with ten.
pub(super) async fn memory(subjects: &mut [Subject], plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut pods: Vec<Vec<_>> = subjects.iter().map(|_| Vec::new()).collect();
    for (id, what, count) in [
        ("memory-0", "memory of the daemon, no pods (PSS)", 0),
        ("memory-1", "memory of daemon and shims, 1 pod (PSS)", 1),
        ("memory-10", "memory of daemon and shims, 10 pods (PSS)", 10),
    ] {
        let mut row = Collector::new(id, what, "MB", subjects);
        for (at, (subject, pods)) in subjects.iter_mut().zip(&mut pods).enumerate() {
            let others = subject.shims() - pods.len().min(subject.shims());
            ensure!(others == 0, "{}: {others} pods of others run, its memory would be theirs too", subject.name());
            while pods.len() < count {
                let (pod, _) = subject.up(&plan.image, &format!("memory-{}", pods.len()), &plan.logs).await?;
                pods.push(pod);
            }
            let shims = subject.shims();
            ensure!(shims == count, "{}: {count} pods, but {shims} shims were found", subject.name());
            for _ in 0..READINGS {
                tokio::time::sleep(PAUSE).await;
                row.push(at, subject.memory()?);
            }
        }
        progress("memory, pods", count, 10);
        rows.push(row.row(subjects)?);
    }
    for (subject, pods) in subjects.iter_mut().zip(&pods) {
        for pod in pods {
            subject.down(pod).await?;
        }
    }
    Ok(rows)
}
