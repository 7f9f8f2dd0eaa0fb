use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use wharf_api::cri::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ExecSyncRequest, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, ListPodSandboxRequest, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxFilter, PodSandboxMetadata, RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest,
    StopPodSandboxRequest,
};

use crate::subject::{Subject, spec, within};

const LABEL: &str = "wharf-bench";

/// A pod with one running container.
pub struct Pod {
    id: String,
    container: String,
}

// === impl Subject ===

impl Subject {
    /// From RunPodSandbox sent to StartContainer answered.
    pub async fn up(&mut self, image: &str, name: &str, logs: &Path) -> Result<(Pod, Duration)> {
        let pod_config = pod_config(name, logs);
        let container = container_config(image);
        let run = RunPodSandboxRequest { config: Some(pod_config.clone()), ..RunPodSandboxRequest::default() };
        let begin = Instant::now();
        let id = within("RunPodSandbox", self.runtime.run_pod_sandbox(run)).await?.pod_sandbox_id;
        let create = CreateContainerRequest {
            pod_sandbox_id: id.clone(),
            config: Some(container),
            sandbox_config: Some(pod_config),
        };
        let container = within("CreateContainer", self.runtime.create_container(create)).await?.container_id;
        let start = StartContainerRequest { container_id: container.clone() };
        within("StartContainer", self.runtime.start_container(start)).await?;
        Ok((Pod { id, container }, begin.elapsed()))
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

fn container_config(image: &str) -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "main".into(), attempt: 0 }),
        image: Some(spec(image)),
        command: vec!["sleep".into(), "100000".into()],
        log_path: "main.log".into(),
        ..ContainerConfig::default()
    }
}
