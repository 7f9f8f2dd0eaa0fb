use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{Collector, Row, progress};
use crate::subject::Subject;

/// Pulls images that are not there, one after another.
pub async fn pull(subjects: &mut [Subject], images: &[String]) -> Result<Vec<Row>> {
    let mut wall = Collector::new("pull", "pull of the big image", "s", subjects);
    let mut cpu = Collector::new("pull-cpu", "CPU of the daemon, pull of the big image", "s", subjects);
    let mut memory = Collector::new("pull-memory", "most memory of the daemon, pull of the big image", "MB", subjects);
    for (run, image) in images.iter().enumerate() {
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
        progress("pull", run + 1, images.len());
    }
    for subject in subjects.iter_mut() {
        for image in images {
            subject.remove_image(image).await?;
        }
    }
    [wall, cpu, memory].into_iter().map(|row| row.row(subjects)).collect()
}
