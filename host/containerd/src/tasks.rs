use tonic::{Request, Response, Status};
use wharf_containerd_api::{
    services::tasks::v1::{GetRequest, GetResponse, tasks_server},
    v1::types::{Process, Status as State},
};
use wharf_cri::to_status;
use wharf_error::{Error, Result};
use wharf_pods::{Container, ContainerState, PodProcess, Pods};

use crate::{namespace::within, time::timestamp};

pub(crate) struct Tasks {
    pub(crate) pods: Pods,
}

#[tonic::async_trait]
impl tasks_server::Tasks for Tasks {
    async fn get(&self, request: Request<GetRequest>) -> std::result::Result<Response<GetResponse>, Status> {
        let request = within(request, &self.pods.config().namespace)?;
        let process = self.find(&request).await.map_err(|error| to_status(&error))?;
        Ok(Response::new(GetResponse { process: Some(process) }))
    }
}

// === impl Tasks ===

impl Tasks {
    async fn find(&self, request: &GetRequest) -> Result<Process> {
        let id = &request.container_id;
        if !request.exec_id.is_empty() {
            return Err(Error::not_found("process", format!("{:?} of container {id:?}", request.exec_id)));
        }
        if let Ok(container) = self.pods.container(id)
            && container.id == *id
        {
            return Ok(task(container));
        }
        match self.pods.pod(id) {
            Ok(pod) if pod.id == *id => Ok(sandbox(pod.id, self.pods.pod_process(id).await?)),
            _ => Err(Error::not_found("task", format!("{id:?}"))),
        }
    }
}

fn task(container: Container) -> Process {
    let state = match container.state() {
        ContainerState::Created => State::Created,
        ContainerState::Running => State::Running,
        ContainerState::Exited => State::Stopped,
        ContainerState::Unknown => State::Unknown,
    };
    Process {
        pid: container.pid.unwrap_or_default(),
        status: state.into(),
        terminal: container.tty,
        exit_status: container.exit_code.and_then(|code| u32::try_from(code).ok()).unwrap_or_default(),
        exited_at: timestamp(container.finished_at),
        container_id: container.id.clone(),
        id: container.id,
        ..Process::default()
    }
}

/// While a pod is being made its state is one that clients ask for again.
fn sandbox(id: String, process: PodProcess) -> Process {
    let (state, pid) = match process {
        PodProcess::Making => (State::Unknown, 0),
        PodProcess::Running(pid) => (State::Running, pid),
        PodProcess::Ended => (State::Stopped, 0),
    };
    Process { container_id: id.clone(), id, pid, status: state.into(), ..Process::default() }
}
