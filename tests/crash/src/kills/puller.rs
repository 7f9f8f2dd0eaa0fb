use std::{
    fs,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rand::{RngExt as _, rngs::StdRng};
use wharf_api::cri::{ImageStatusRequest, RemoveImageRequest};

use super::{life::Life, plan::Plan, shared::Shared};
use crate::{cri::Cri, node::pull, requests::spec};

/// Pulls one image again and again, looks whether all of it is there, and removes it.
pub struct Puller {
    shared: Arc<Shared>,
    number: usize,
    image: (String, String),
    random: StdRng,
}

// === impl Puller ===

impl Puller {
    pub fn new(shared: Arc<Shared>, number: usize, image: (String, String), random: StdRng) -> Self {
        Self { shared, number, image, random }
    }

    /// Until the others have had enough.
    pub async fn run(mut self) {
        for n in 0_u32.. {
            if self.shared.is_over() {
                return;
            }
            let (run, pause) = (self.random.random_bool(0.5), self.random.random_range(0..200));
            if let Err(error) = self.one(n, run).await {
                return self.shared.fail(format!("image {}, pull {n}: {error:#}", self.image.0));
            }
            self.shared.pulls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn one(&self, n: u32, run: bool) -> Result<()> {
        let (cri, (name, id)) = (&self.shared.cri, &self.image);
        pull(cri, name).await?;
        let there = self.id(cri).await?;
        ensure!(there.as_ref() == Some(id), "after it was pulled it is {there:?}, not {id}");
        if run {
            self.look(n).await.context("look at its files")?;
        }
        let remove = RemoveImageRequest { image: Some(spec(name)) };
        cri.ask("RemoveImage", |mut cri| {
            let remove = remove.clone();
            async move { cri.images.remove_image(remove).await }
        })
        .await?;
        let there = self.id(cri).await?;
        ensure!(there.is_none(), "after it was removed it is {there:?}");
        Ok(())
    }

    /// A pod of it whose container compares every file.
    async fn look(&self, n: u32) -> Result<()> {
        let name = format!("look-{}-{n}", self.number);
        let plan = Plan::look(&self.image.0);
        let result = Life::new(&self.shared, &name, &plan).lead().await;
        let _ = fs::remove_dir_all(self.shared.logs.join(&name));
        result
    }

    async fn id(&self, cri: &Cri) -> Result<Option<String>> {
        let request = ImageStatusRequest { image: Some(spec(&self.image.0)), verbose: false };
        let status = cri.ask("ImageStatus", |mut cri| {
            let request = request.clone();
            async move { cri.images.image_status(request).await }
        });
        Ok(status.await?.image.map(|image| image.id))
    }
}
