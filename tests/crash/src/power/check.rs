use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::task::block_in_place;
use wharf_api::cri::{Image, ListImagesRequest, ListPodSandboxRequest, RemovePodSandboxRequest};
use wharf_testkit::{Daemon, DaemonOptions};

use super::IMAGES;
use crate::{
    cri::Cri,
    kills::{Life, Plan, Shared},
    node::{no_snapshots, pull, remove_images},
    rows::rows,
    samples::Samples,
};

/// The store opens, every image that is listed is whole, what lived is listed as ended; then all of it can be removed, and
/// nothing half-made is left.
pub async fn run(options: DaemonOptions) -> Result<()> {
    let samples = Samples::make(IMAGES)?;
    let started = block_in_place(|| Daemon::start(&DaemonOptions { mirrors: samples.mirrors(), ..options }));
    let mut daemon = started.context("start after the power came back")?;
    let result = look(&samples, &mut daemon).await;
    result.map_err(|error| error.context(daemon.log_tail(60)))
}

async fn look(samples: &Samples, daemon: &mut Daemon) -> Result<()> {
    let cri = Cri::new(&daemon.socket());
    let pods = remove_pods(&cri).await?;
    let listed = images(&cri).await?;
    let shared = Shared::new(cri.clone(), daemon.scratch().join("logs"), daemon.state());
    for image in &listed {
        let name = image.repo_tags.first().or(image.repo_digests.first()).context("an image without a name")?;
        let known = samples.passing.iter().find(|(known, _)| known == name);
        ensure!(known.is_none_or(|(_, id)| *id == image.id), "{name} is {}", image.id);
        whole(&shared, name).await.with_context(|| format!("the files of {name}, which is listed"))?;
    }
    // What was cut off is no hindrance.
    for name in samples.passing.iter().map(|(name, _)| name.clone()).chain([Samples::base()]) {
        pull(&cri, &name).await.with_context(|| format!("pull {name} after the cut"))?;
        whole(&shared, &name).await.with_context(|| format!("the files of {name}, which was pulled after the cut"))?;
    }
    remove_images(&cri).await?;
    let left = block_in_place(|| nothing_left(daemon))?;
    println!("{} images were listed and whole, {pods} pods were removed; {left} rows are the node's own", listed.len());
    Ok(())
}

/// A container of the image reads its files.
async fn whole(shared: &Shared, image: &str) -> Result<()> {
    const NAME: &str = "look";
    let looked = Life::new(shared, NAME, &Plan::look(image)).lead().await;
    // No daemon removes logs, and the next one of this name would be told to append.
    let _ = fs::remove_dir_all(shared.logs.join(NAME));
    looked
}

async fn images(cri: &Cri) -> Result<Vec<Image>> {
    let listed =
        cri.ask("ListImages", |mut cri| async move { cri.images.list_images(ListImagesRequest::default()).await });
    Ok(listed.await?.images)
}

async fn remove_pods(cri: &Cri) -> Result<usize> {
    let listed = cri.ask("ListPodSandbox", |mut cri| async move {
        cri.runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await
    });
    let pods = listed.await?.items;
    for pod in &pods {
        let request = RemovePodSandboxRequest { pod_sandbox_id: pod.id.clone() };
        let removed = cri.ask("RemovePodSandbox", |mut cri| {
            let request = request.clone();
            async move { cri.runtime.remove_pod_sandbox(request).await }
        });
        removed.await?;
    }
    Ok(pods.len())
}

/// No snapshot, no folder of a layer, no document, no part of a download, no row but the node's own; how many those are.
fn nothing_left(daemon: &mut Daemon) -> Result<u64> {
    let listed = daemon.wharf(&["snapshots", "--json"]).output().context("run wharf snapshots")?;
    no_snapshots(&listed)?;
    let root = daemon.root();
    daemon.stop()?;
    let mut left = Vec::new();
    for folder in ["snapshots/overlayfs", "content/blobs/sha256", "content/ingest"] {
        files(&root.join(folder), &mut left)?;
    }
    // By which the store knows its folder, and where the removed wait: one that is stopped leaves them to the next one.
    left.retain(|path| path.file_name().is_none_or(|name| name != ".removed" && name != ".wharf-store-id"));
    ensure!(left.is_empty(), "files are left: {left:#?}");
    let rows = rows(&root, &daemon.state())?;
    let own: BTreeMap<_, _> = rows.iter().filter(|(name, _)| is_the_nodes(name)).collect();
    if own.len() != rows.len() {
        bail!("rows are left: {rows:#?}");
    }
    Ok(own.values().copied().sum())
}

/// The store's schema and counters, and that there is a namespace for images.
fn is_the_nodes(table: &str) -> bool {
    ["t.image-namespaces", "wharf", "wharf.ids"].iter().any(|own| table.rsplit(' ').next() == Some(own))
}

fn files(folder: &Path, all: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        all.push(entry.with_context(|| format!("read {}", folder.display()))?.path());
    }
    Ok(())
}
