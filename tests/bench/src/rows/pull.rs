use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{Collector, Row, progress};
use crate::subject::Subject;

/// Pulls an image that is not there.
pub async fn pull(subjects: &mut [Subject], image: &str, pulls: usize) -> Result<Vec<Row>> {
    let mut wall = Collector::new("pull", "pull of the big image", "s", subjects);
    let mut cpu = Collector::new("pull-cpu", "CPU of the daemon, pull of the big image", "s", subjects);
    let mut memory = Collector::new("pull-memory", "most memory of the daemon, pull of the big image", "MB", subjects);
    for run in 0..pulls {
        for (at, subject) in subjects.iter_mut().enumerate() {
            let failed = format!("{}: pull {image}", subject.name());
            // Absent is success.
            subject.remove_image(image).await.context(failed.clone())?;
            subject.watch_memory()?;
            let (before, begin) = (subject.daemon_cpu()?, Instant::now());
            subject.pull(image).await.context(failed)?;
            wall.push(at, begin.elapsed().as_secs_f64());
            cpu.push(at, subject.daemon_cpu()? - before);
            memory.push(at, subject.most_memory()?);
        }
        progress("pull", run + 1, pulls);
    }
    for subject in subjects.iter_mut() {
        subject.remove_image(image).await?;
    }
    [wall, cpu, memory].into_iter().map(|row| row.row(subjects)).collect()
}
