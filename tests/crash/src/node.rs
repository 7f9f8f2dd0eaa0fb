use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Output,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::task::block_in_place;
use wharf_api::cri::{
    ListContainersRequest, ListImagesRequest, ListPodSandboxRequest, PullImageRequest, RemoveImageRequest,
    VersionRequest,
};
use wharf_testkit::{Daemon, DaemonOptions, Leaks};

use crate::{
    cri::{Cri, Refused},
    requests::spec,
    rows::rows,
    samples::Samples,
};

/// What a broken pull leaves is kept for the next one this long, and not after.
const RESUME: Duration = Duration::from_secs(1);
/// What a start may take until the first answer, on a machine that has nothing else to do.
const ANSWER: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(2);

/// A private daemon that is killed and started again, and what was there before anything was made.
pub struct Node {
    pub daemon: Daemon,
    pub cri: Cri,
    /// Logs of containers.
    pub logs: PathBuf,
    pub starts: Starts,
    before: Leaks,
    /// With what is to stay for now.
    now: Option<Leaks>,
    rows: BTreeMap<String, u64>,
}

/// How long starts took until their first answer.
#[derive(Debug, Default)]
pub struct Starts {
    took: Vec<Duration>,
}

// === impl Node ===

impl Node {
    /// Starts it, with the samples behind its mirror.
    ///
    /// # Errors
    ///
    /// When the daemon is not built or does not start.
    pub async fn start(samples: &Samples, options: DaemonOptions) -> Result<Self> {
        let config = format!("resume_window = {}\n{}", RESUME.as_secs(), options.config);
        let options = DaemonOptions { mirrors: samples.mirrors(), config, ..options };
        let mut daemon = block_in_place(|| Daemon::start(&options))?;
        let cri = Cri::new(&daemon.socket());
        // Once, so that what a node keeps for ever is there.
        pull(&cri, &Samples::base()).await?;
        remove_images(&cri).await?;
        let rows = block_in_place(|| {
            daemon.stop()?;
            let rows = rows(&daemon.root(), &daemon.state())?;
            daemon.launch().map(|()| rows)
        })?;
        let logs = daemon.scratch().join("logs");
        fs::create_dir_all(&logs).context("make a folder for logs")?;
        let before = Leaks::watch(daemon.scope());
        Ok(Self { daemon, cri, logs, starts: Starts::default(), before, now: None, rows })
    }

    /// Starts the daemon again and waits for its first answer, which must come within a second; on a machine on which
    /// more is to be run than it has processors, within as many.
    ///
    /// # Errors
    ///
    /// When it ends, or answers too late.
    pub async fn restart(&mut self) -> Result<()> {
        let begin = Instant::now();
        let load = load();
        block_in_place(|| self.daemon.spawn().and_then(|()| self.daemon.wait_ready()))?;
        // A connection of its own: the others' have a pause before they try again.
        let cri = Cri::new(&self.daemon.socket());
        while let Err(status) =
            cri.once(|mut cri| async move { cri.runtime.version(VersionRequest::default()).await }).await
        {
            ensure!(begin.elapsed() < ANSWER * 60, "the daemon does not answer after its start: {status}");
            tokio::time::sleep(POLL).await;
        }
        let took = begin.elapsed();
        let bound = ANSWER.mul_f64(load.max(self::load()).max(1.0));
        ensure!(took <= bound, "the daemon took {took:.2?} to answer after its start, and {bound:.2?} is the bound");
        self.starts.took.push(took);
        Ok(())
    }

    /// What is there now is to stay.
    pub fn remember(&mut self) {
        self.now = Some(Leaks::watch(self.daemon.scope()));
    }

    /// That nothing is there but what was remembered since the last time, or at the start. Blocks.
    ///
    /// # Errors
    ///
    /// When something is left, with all of it.
    pub fn check_left(&mut self) -> Result<()> {
        let wanted = self.now.take();
        let wanted = wanted.as_ref().unwrap_or(&self.before);
        // What a killed pull or removal left is kept for a while; each look waits some seconds, too.
        let _ = wanted.check().or_else(|_| wanted.check());
        wanted.check()
    }

    /// Whether nothing is there: no pod, container, image, snapshot, file, mount, cgroup, namespace, process, row. Images
    /// are removed first; the daemon has stopped afterwards.
    ///
    /// # Errors
    ///
    /// When something is left, with all of it.
    pub async fn finish(&mut self) -> Result<()> {
        tokio::time::sleep(RESUME + Duration::from_millis(500)).await;
        remove_images(&self.cri).await?;
        no_pods(&self.cri).await?;
        let _ = fs::remove_dir_all(&self.logs);
        fs::create_dir(&self.logs).context("make a folder for logs")?;
        block_in_place(|| {
            let listed = self.daemon.wharf(&["snapshots", "--json"]).output().context("run wharf snapshots")?;
            no_snapshots(&listed)?;
            self.before.check()?;
            let status = self.daemon.stop()?;
            ensure!(status.success(), "the daemon ended with {status}");
            let alive = self.daemon.scope().alive();
            ensure!(alive.is_empty(), "after the daemon has stopped there is still:\n  {}", alive.join("\n  "));
            let rows = rows(&self.daemon.root(), &self.daemon.state())?;
            ensure!(rows == self.rows, "rows are left: {rows:?}, and before there were {:?}", self.rows);
            Ok(())
        })
    }
}

/// Pulls an image, however often the daemon goes away.
///
/// # Errors
///
/// What the daemon says.
pub async fn pull(cri: &Cri, image: &str) -> Result<(), Refused> {
    let request = PullImageRequest { image: Some(spec(image)), ..PullImageRequest::default() };
    let pulled = cri.ask("PullImage", |mut cri| {
        let request = request.clone();
        async move { cri.images.pull_image(request).await }
    });
    pulled.await.map(drop)
}

/// Removes all images.
///
/// # Errors
///
/// What the daemon says.
pub async fn remove_images(cri: &Cri) -> Result<(), Refused> {
    let images =
        cri.ask("ListImages", |mut cri| async move { cri.images.list_images(ListImagesRequest::default()).await });
    for image in images.await?.images {
        let request = RemoveImageRequest { image: Some(spec(&image.id)) };
        let removed = cri.ask("RemoveImage", |mut cri| {
            let request = request.clone();
            async move { cri.images.remove_image(request).await }
        });
        removed.await?;
    }
    Ok(())
}

/// That `wharf snapshots --json` says so.
///
/// # Errors
///
/// When it failed or lists one.
pub fn no_snapshots(listed: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&listed.stdout);
    let listed: serde_json::Value = serde_json::from_str(&said)
        .with_context(|| format!("wharf snapshots: {said}{}", String::from_utf8_lossy(&listed.stderr)))?;
    ensure!(listed["snapshots"].as_array().is_some_and(Vec::is_empty), "snapshots are left: {listed:#}");
    Ok(())
}

// Of images there are none any more.
async fn no_pods(cri: &Cri) -> Result<()> {
    let pods = cri.ask("ListPodSandbox", |mut cri| async move {
        cri.runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await
    });
    let pods = pods.await?.items;
    ensure!(pods.is_empty(), "pods are left: {pods:#?}");
    let containers = cri.ask("ListContainers", |mut cri| async move {
        cri.runtime.list_containers(ListContainersRequest::default()).await
    });
    let containers = containers.await?.containers;
    ensure!(containers.is_empty(), "containers are left: {containers:#?}");
    Ok(())
}

// === impl Starts ===

impl std::fmt::Display for Starts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut took = self.took.clone();
        took.sort();
        match (took.get(took.len() / 2), took.last()) {
            (Some(median), Some(slowest)) => {
                write!(f, "{} starts until the first answer: median {median:.1?}, slowest {slowest:.1?}", took.len())
            }
            _ => write!(f, "no starts"),
        }
    }
}

// How many tasks are to be run for each processor, at this moment: the fourth number of /proc/loadavg.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let runnable = text.split(' ').nth(3).and_then(|word| word.split('/').next()?.parse::<u32>().ok());
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    f64::from(runnable.unwrap_or(1)) / f64::from(u32::try_from(processors).unwrap_or(1))
}
