use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use wharf_api::cri::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatusRequest, CreateContainerRequest,
    ExecSyncRequest, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, ListContainersRequest, ListPodSandboxRequest,
    NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxFilter, PodSandboxMetadata, RemovePodSandboxRequest,
    RunPodSandboxRequest, StartContainerRequest, StopPodSandboxRequest,
};

use crate::subject::{Subject, spec, within};

const LABEL: &str = "wharf-bench";
/// How long a container that is to end may run.
const RUN: Duration = Duration::from_secs(120);
/// Between two looks at it.
const POLL: Duration = Duration::from_millis(2);

/// A pod with one running container.
pub struct Pod {
    id: String,
    container: String,
}

// === impl Subject ===

impl Subject {
    /// From RunPodSandbox sent to StartContainer answered.
    pub async fn up(&mut self, image: &str, name: &str, logs: &Path) -> Result<(Pod, Duration)> {
        let begin = Instant::now();
        let pod = self.create(image, name, logs, &["sleep", "100000"]).await?;
        self.start(&pod).await?;
        Ok((pod, begin.elapsed()))
    }

    /// A pod and its container, which has not started. Its log is `<logs>/<name>/main.log`.
    pub async fn create(&mut self, image: &str, name: &str, logs: &Path, command: &[&str]) -> Result<Pod> {
        let pod_config = pod_config(name, &logs.join(name));
        let container = container_config(image, command);
        let run = RunPodSandboxRequest { config: Some(pod_config.clone()), ..RunPodSandboxRequest::default() };
        let id = within("RunPodSandbox", self.runtime.run_pod_sandbox(run)).await?.pod_sandbox_id;
        let create = CreateContainerRequest {
            pod_sandbox_id: id.clone(),
            config: Some(container),
            sandbox_config: Some(pod_config),
        };
        let container = within("CreateContainer", self.runtime.create_container(create)).await?.container_id;
        Ok(Pod { id, container })
    }

    async fn start(&mut self, pod: &Pod) -> Result<()> {
        let start = StartContainerRequest { container_id: pod.container.clone() };
        within("StartContainer", self.runtime.start_container(start)).await.map(drop)
    }

    /// Starts the container and waits until it has exited with 0.
    pub async fn run_to_end(&mut self, pod: &Pod) -> Result<()> {
        self.start(pod).await?;
        let end = Instant::now() + RUN;
        loop {
            let request = ContainerStatusRequest { container_id: pod.container.clone(), verbose: false };
            let status = within("ContainerStatus", self.runtime.container_status(request)).await?.status;
            let status = status.context("ContainerStatus: no status")?;
            if status.state == i32::from(ContainerState::ContainerExited) {
                ensure!(status.exit_code == 0, "the container ended with {}", status.exit_code);
                return Ok(());
            }
            ensure!(Instant::now() < end, "the container has not ended after {RUN:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Lists all pods and all containers of this bench; how many.
    pub async fn list(&mut self) -> Result<(usize, usize)> {
        let pods = within("ListPodSandbox", self.runtime.list_pod_sandbox(ListPodSandboxRequest::default())).await?;
        let containers =
            within("ListContainers", self.runtime.list_containers(ListContainersRequest::default())).await?;
        Ok((pods.items.len(), containers.containers.len()))
    }

    /// StopPodSandbox and RemovePodSandbox.
    pub async fn down(&mut self, pod: &Pod) -> Result<Duration> {
        let begin = Instant::now();
        self.remove(&pod.id).await?;
        Ok(begin.elapsed())
    }

    /// ExecSync of `true`.
    pub async fn exec(&mut self, pod: &Pod) -> Result<Duration> {
        let request = ExecSyncRequest { container_id: pod.container.clone(), cmd: vec!["true".into()], timeout: 60 };
        let begin = Instant::now();
        let answer = within("ExecSync", self.runtime.exec_sync(request)).await?;
        let took = begin.elapsed();
        ensure!(answer.exit_code == 0, "`true` ended with {}", answer.exit_code);
        Ok(took)
    }

    /// Removes every pod of this bench.
    pub async fn sweep(&mut self) -> Result<()> {
        let label_selector = labels().into_iter().collect();
        let filter = PodSandboxFilter { label_selector, ..PodSandboxFilter::default() };
        let request = ListPodSandboxRequest { filter: Some(filter) };
        for pod in within("ListPodSandbox", self.runtime.list_pod_sandbox(request)).await?.items {
            self.remove(&pod.id).await?;
        }
        Ok(())
    }

    async fn remove(&mut self, id: &str) -> Result<()> {
        let request = StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        within("StopPodSandbox", self.runtime.stop_pod_sandbox(request)).await?;
        let request = RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        within("RemovePodSandbox", self.runtime.remove_pod_sandbox(request)).await?;
        Ok(())
    }
}

/// A run of its own, so that what a broken one left is not this one's.
fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([(LABEL.to_owned(), std::process::id().to_string())])
}

fn pod_config(name: &str, logs: &Path) -> PodSandboxConfig {
    let namespaces = NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Container.into(),
        ..NamespaceOption::default()
    };
    let security =
        LinuxSandboxSecurityContext { namespace_options: Some(namespaces), ..LinuxSandboxSecurityContext::default() };
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            uid: format!("{name}-{}", std::process::id()),
            namespace: "bench".into(),
            attempt: 0,
        }),
        log_directory: logs.display().to_string(),
        labels: labels().into_iter().collect(),
        linux: Some(LinuxPodSandboxConfig { security_context: Some(security), ..LinuxPodSandboxConfig::default() }),
        ..PodSandboxConfig::default()
    }
}

fn container_config(image: &str, command: &[&str]) -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "main".into(), attempt: 0 }),
        image: Some(spec(image)),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        log_path: "main.log".into(),
        ..ContainerConfig::default()
    }
}
