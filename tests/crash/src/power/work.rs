use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::task::block_in_place;
use wharf_api::cri::RemoveImageRequest;
use wharf_testkit::{Daemon, DaemonOptions};

use super::IMAGES;
use crate::{
    cri::Cri,
    kills::{Shared, Worker},
    node::pull,
    requests::spec,
    samples::Samples,
};

/// Works until it is killed. What is done is told, a line each: the first that says so has begun.
pub async fn run(options: DaemonOptions, seed: u64) -> Result<()> {
    let samples = Samples::make(IMAGES)?;
    let daemon = block_in_place(|| Daemon::start(&DaemonOptions { mirrors: samples.mirrors(), ..options }))?;
    let cri = Cri::new(&daemon.socket());
    println!("work has begun");
    let mut tasks = tokio::task::JoinSet::new();
    for ((image, _), stream) in samples.passing.iter().zip(1..) {
        let random = StdRng::seed_from_u64(seed.wrapping_add(stream));
        tasks.spawn(images(cri.clone(), image.clone(), random));
    }
    let logs = daemon.scratch().join("logs");
    // Those of the lives before the cut, whose names come again.
    let _ = std::fs::remove_dir_all(&logs);
    let shared = Arc::new(Shared::new(cri.clone(), logs, daemon.state()));
    tasks.spawn({
        let (shared, random) = (shared.clone(), StdRng::seed_from_u64(seed));
        async move {
            pull(&shared.cri, &Samples::base()).await?;
            println!("pulled {}", Samples::base());
            Worker::new(shared.clone(), 0, random).run().await;
            shared.outcome()
        }
    });
    // None ends but by a failure.
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task of this program")??;
    }
    Ok(())
}

async fn images(cri: Cri, image: String, mut random: StdRng) -> Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
        pull(&cri, &image).await?;
        println!("pulled {image}");
        // Some stay for long enough to be flushed.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..6000))).await;
        let request = RemoveImageRequest { image: Some(spec(&image)) };
        let removed = cri.ask("RemoveImage", |mut cri| {
            let request = request.clone();
            async move { cri.images.remove_image(request).await }
        });
        removed.await?;
        println!("removed {image}");
    }
}
