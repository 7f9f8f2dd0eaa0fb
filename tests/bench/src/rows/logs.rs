use std::{fs, time::Instant};

use anyhow::{Context as _, Result, ensure};

use super::{Collector, Plan, Row, progress};
use crate::subject::Subject;

/// A container writes so many lines as fast as it can, each of 100 bytes with its line break.
const LINES: u64 = 500_000;
const LINE: &str =
    "a line of a log, as long as lines of logs are, with a time, a level, a module and a few words more..";

/// From StartContainer sent to the container's exit told: the megabytes a second that went into its log.
pub(super) async fn logs(subjects: &mut [Subject], plan: &Plan) -> Result<Vec<Row>> {
    let mut speed = Collector::new("log", "log of a container that writes all it can", "MB/s", subjects);
    let script = format!("yes '{}' | head -n {LINES}", &LINE[..99]);
    for run in 0..plan.logs_written {
        for (at, subject) in subjects.iter_mut().enumerate() {
            let failed = format!("{}: log, run {run}", subject.name());
            let name = format!("log-{run}");
            let pod = subject.create(&plan.image, &name, &plan.logs, &["sh", "-c", &script]).await;
            let pod = pod.context(failed.clone())?;
            let begin = Instant::now();
            subject.run_to_end(&pod).await.context(failed.clone())?;
            let seconds = begin.elapsed().as_secs_f64();
            subject.down(&pod).await.context(failed.clone())?;
            let path = plan.logs.join(&name).join("main.log");
            let text = fs::read(&path).with_context(|| format!("{failed}: read {}", path.display()))?;
            let lines = text.iter().filter(|byte| **byte == b'\n').count();
            ensure!(u64::try_from(lines)? == LINES, "{failed}: {lines} lines of {LINES} are in the log");
            // What the container wrote, without what the runtime adds to each line.
            speed.push(at, 100.0 * f64::from(u32::try_from(LINES)?) / 1e6 / seconds);
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
        progress("log", run + 1, plan.logs_written);
    }
    Ok(vec![speed.row(subjects)?])
}
