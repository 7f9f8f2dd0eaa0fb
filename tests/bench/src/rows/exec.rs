use anyhow::{Context as _, Result};

use super::{Collector, Plan, Row, progress};
use crate::{stats::milliseconds, subject::Subject};

const WARM_UP: usize = 3;

/// ExecSync in a container that runs.
pub(super) async fn exec(subjects: &mut [Subject], plan: &Plan) -> Result<Vec<Row>> {
    let mut exec = Collector::new("exec", "ExecSync of `true`", "ms", subjects);
    let mut pods = Vec::new();
    for subject in subjects.iter_mut() {
        let (pod, _) = subject.up(&plan.image, "exec", &plan.logs).await?;
        pods.push(pod);
    }
    for run in 0..WARM_UP + plan.execs {
        for (at, (subject, pod)) in subjects.iter_mut().zip(&pods).enumerate() {
            let took = subject.exec(pod).await;
            let took = took.with_context(|| format!("{}: exec, run {run}", subject.name()))?;
            if run >= WARM_UP {
                exec.push(at, milliseconds(took));
            }
        }
        progress("exec", run + 1, WARM_UP + plan.execs);
    }
    for (subject, pod) in subjects.iter_mut().zip(&pods) {
        subject.down(pod).await?;
    }
    Ok(vec![exec.row(subjects)?])
}
