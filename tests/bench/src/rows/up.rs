use anyhow::{Context as _, Result};

use super::{Collector, Plan, Row, progress};
use crate::{stats::milliseconds, subject::Subject};

/// Before anything counts: pages are read, connections made, files cached.
const WARM_UP: usize = 2;

/// A pod and its container, up and down, one after another.
pub(super) async fn up(subjects: &mut [Subject], plan: &Plan) -> Result<Vec<Row>> {
    let mut up = Collector::new("up", "pod and container up, host network", "ms", subjects);
    let mut down = Collector::new("down", "pod stopped and removed", "ms", subjects);
    let mut cpu = Collector::new("up-cpu", "CPU of daemon, shim and helpers, up", "ms", subjects);
    for run in 0..WARM_UP + plan.runs {
        for (at, subject) in subjects.iter_mut().enumerate() {
            let failed = |step: &str| format!("{}: {step}, run {run}", subject.name());
            let (up_failed, down_failed) = (failed("up"), failed("down"));
            let before = subject.daemon_cpu()?;
            let (pod, took_up) = subject.up(&plan.image, &format!("up-{run}"), &plan.logs).await.context(up_failed)?;
            // The shim is new: all its time is this pod's.
            let used = subject.daemon_cpu()? - before + subject.shim_cpu()?;
            let took_down = subject.down(&pod).await.context(down_failed)?;
            if run >= WARM_UP {
                up.push(at, milliseconds(took_up));
                down.push(at, milliseconds(took_down));
                cpu.push(at, used * 1e3);
            }
        }
        progress("up and down", run + 1, WARM_UP + plan.runs);
    }
    [up, down, cpu].into_iter().map(|row| row.row(subjects)).collect()
}
