use std::{path::PathBuf, sync::atomic::Ordering, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::Instant;
use tonic::Code;
use wharf_api::cri::{
    ContainerState, ContainerStatus, ContainerStatusRequest, ListPodSandboxRequest, PodSandboxFilter,
    RemoveContainerRequest, RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest, StopContainerRequest,
    StopPodSandboxRequest,
};

use super::{
    plan::{ContainerPlan, End, Plan},
    shared::Shared,
};
use crate::{
    cri::{Cri, Refused},
    logs::numbered,
    requests::{self, LABEL},
};

/// The life of one pod.
pub struct Life<'a> {
    shared: &'a Shared,
    cri: &'a Cri,
    name: &'a str,
    plan: &'a Plan,
    request: RunPodSandboxRequest,
}

/// A container of it.
struct Container<'a> {
    id: String,
    log: PathBuf,
    plan: &'a ContainerPlan,
    started: bool,
}

/// How long anything may take to come about; the machine is loaded by what we do to it.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(25);
/// What is removed in the moment in which its shim is killed may be refused then, but not for ever.
const TRIES: u32 = 20;
/// What a container may end with whose shim was killed: killed, or nobody knows.
const LOST: [i32; 2] = [137, 255];
/// One that could not be started.
const START_ERROR: i32 = 128;

// === impl Life ===

impl<'a> Life<'a> {
    pub fn new(shared: &'a Shared, name: &'a str, plan: &'a Plan) -> Self {
        let request = requests::pod(name, 0, &shared.logs.join(name), plan.host_network);
        Self { shared, cri: &shared.cri, name, plan, request }
    }

    /// From RunPodSandbox to nothing left of it.
    ///
    /// # Errors
    ///
    /// What was not as it must be.
    pub async fn lead(&self) -> Result<()> {
        let run = self.cri.ask("RunPodSandbox", |mut cri| {
            let request = self.request.clone();
            async move { cri.runtime.run_pod_sandbox(request).await }
        });
        match run.await {
            Ok(made) => self.with_pod(&made.pod_sandbox_id).await?,
            // There may be a pod although nobody told us its id.
            Err(refused) => self.excuse(refused)?,
        }
        self.remove().await
    }

    async fn with_pod(&self, pod: &str) -> Result<()> {
        self.shared.name(pod, self.name);
        let mut containers = Vec::new();
        for (n, plan) in self.plan.containers.iter().enumerate() {
            let name = format!("c{n}");
            let request = requests::container(pod, &self.request, &name, &self.plan.image, &plan.script());
            let created = self.cri.ask("CreateContainer", |mut cri| {
                let request = request.clone();
                async move { cri.runtime.create_container(request).await }
            });
            match created.await {
                Ok(created) => containers.push(Container {
                    id: created.container_id,
                    log: self.shared.logs.join(self.name).join(format!("{name}.log")),
                    plan,
                    started: false,
                }),
                Err(refused) => self.excuse(refused)?,
            }
        }
        for container in &mut containers {
            self.start(container).await.with_context(|| format!("container {}", container.id))?;
        }
        for container in &containers {
            self.see(container).await.with_context(|| format!("container {}", container.id))?;
        }
        Ok(())
    }

    async fn start(&self, container: &mut Container<'_>) -> Result<()> {
        if container.plan.end == End::Never {
            return Ok(());
        }
        let request = StartContainerRequest { container_id: container.id.clone() };
        let started = self.cri.ask("StartContainer", |mut cri| {
            let request = request.clone();
            async move { cri.runtime.start_container(request).await }
        });
        match started.await {
            Ok(_) => container.started = true,
            Err(refused) => self.excuse(refused)?,
        }
        Ok(())
    }

    async fn see(&self, container: &Container<'_>) -> Result<()> {
        self.shared.containers.fetch_add(1, Ordering::SeqCst);
        match container.plan.end {
            End::Itself => {}
            End::Stopped(after) => {
                tokio::time::sleep(after).await;
                let request = StopContainerRequest { container_id: container.id.clone(), timeout: 0 };
                self.until_done("StopContainer", |mut cri| {
                    let request = request.clone();
                    async move { cri.runtime.stop_container(request).await }
                })
                .await?;
            }
            End::Pod | End::Never => return self.status(container).await.map(drop),
        }
        self.end(container).await?;
        if self.plan.one_by_one {
            let request = RemoveContainerRequest { container_id: container.id.clone() };
            self.until_done("RemoveContainer", |mut cri| {
                let request = request.clone();
                async move { cri.runtime.remove_container(request).await }
            })
            .await?;
        }
        Ok(())
    }

    /// Waits for its end, and looks at exit code and log.
    async fn end(&self, container: &Container<'_>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            let status = self.status(container).await?;
            let never = status.state == i32::from(ContainerState::ContainerCreated) && !container.started;
            if never || status.state == i32::from(ContainerState::ContainerExited) {
                break status;
            }
            ensure!(Instant::now() < deadline, "it has not ended after {PATIENCE:?}: {status:#?}");
            tokio::time::sleep(POLL).await;
        };
        let hit = self.shared.is_hit(self.name);
        let plan = container.plan;
        let code = status.exit_code;
        if status.state != i32::from(ContainerState::ContainerExited) {
            ensure!(hit, "it was started and has not been: {status:#?}");
            return Ok(());
        }
        let stopped = matches!(plan.end, End::Stopped(_));
        let itself = code == plan.code;
        let excused = (stopped && code == 137)
            || (hit && LOST.contains(&code))
            || (hit && !container.started && code == START_ERROR);
        ensure!(itself || excused, "it ended with {code}, not with {} (shim killed: {hit}): {status:#?}", plan.code);
        ensure!(status.finished_at >= status.started_at, "it ended before it began: {status:#?}");
        let lines = numbered(&container.log, hit || !itself)?;
        self.shared.lines.fetch_add(u32::try_from(lines)?, Ordering::SeqCst);
        if itself && !hit {
            ensure!(lines == usize::try_from(plan.lines)?, "its log has {lines} lines, and it wrote {}", plan.lines);
        }
        Ok(())
    }

    /// One that was created is never forgotten.
    async fn status(&self, container: &Container<'_>) -> Result<ContainerStatus> {
        let request = ContainerStatusRequest { container_id: container.id.clone(), verbose: false };
        let status = self.cri.ask("ContainerStatus", |mut cri| {
            let request = request.clone();
            async move { cri.runtime.container_status(request).await }
        });
        status.await?.status.context("ContainerStatus: no status")
    }

    /// Removes what is there of the pod by its label, and sees that it is gone.
    async fn remove(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for pod in self.pods().await? {
            if self.plan.stop_first {
                let request = StopPodSandboxRequest { pod_sandbox_id: pod.clone() };
                self.until_done("StopPodSandbox", |mut cri| {
                    let request = request.clone();
                    async move { cri.runtime.stop_pod_sandbox(request).await }
                })
                .await?;
            }
            let request = RemovePodSandboxRequest { pod_sandbox_id: pod.clone() };
            self.until_done("RemovePodSandbox", |mut cri| {
                let request = request.clone();
                async move { cri.runtime.remove_pod_sandbox(request).await }
            })
            .await?;
            let folder = self.shared.state.join("pods").join(&pod);
            ensure!(!folder.exists(), "its folder {} is there after its removal", folder.display());
        }
        let left = self.pods().await?;
        ensure!(left.is_empty() && Instant::now() < deadline, "it is there after its removal: {left:?}");
        Ok(())
    }

    async fn pods(&self) -> Result<Vec<String>> {
        let label_selector = [(LABEL.to_owned(), self.name.to_owned())].into();
        let filter = PodSandboxFilter { label_selector, ..PodSandboxFilter::default() };
        let listed = self.cri.ask("ListPodSandbox", |mut cri| {
            let request = ListPodSandboxRequest { filter: Some(filter.clone()) };
            async move { cri.runtime.list_pod_sandbox(request).await }
        });
        Ok(listed.await?.items.into_iter().map(|pod| pod.id).collect())
    }

    /// For what ends something: again while its shim is being killed.
    async fn until_done<T, F>(&self, what: &str, send: impl Fn(Cri) -> F) -> Result<T>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.cri.ask(what, &send).await {
                Ok(answer) => return Ok(answer),
                Err(refused) if tries >= TRIES => bail!("{refused}, {tries} times"),
                Err(refused) => self.excuse(refused)?,
            }
            tokio::time::sleep(POLL * tries).await;
        }
    }

    /// A refusal is in order where the pod's shim was killed, and never because something is not known any more.
    fn excuse(&self, refused: Refused) -> Result<()> {
        if self.shared.is_hit(self.name) && refused.code != Code::NotFound {
            return Ok(());
        }
        Err(refused.into())
    }
}
