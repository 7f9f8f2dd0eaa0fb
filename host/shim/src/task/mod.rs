//! `containerd.task.v3.Task`, one RPC a file.

mod create;
mod delete;
mod exec;
mod io;
mod kill;
mod pause;
mod query;
mod shutdown;
mod start;
mod stats;
mod update;

use std::sync::Arc;

use async_trait::async_trait;
use wharf_error::{Error, Kind};
use wharf_shim_api::{
    task::{
        CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse,
        DeleteRequest, DeleteResponse, Empty, ExecProcessRequest, KillRequest, PauseRequest, PidsRequest, PidsResponse,
        ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest, StartResponse, StateRequest, StateResponse,
        StatsRequest, StatsResponse, Task, UpdateTaskRequest, WaitRequest, WaitResponse,
    },
    timestamp, to_status,
    ttrpc::{Result, asynchronous::TtrpcContext},
};

pub use self::{
    create::read_spec,
    delete::remove as remove_container,
    stats::{METRICS, metrics},
};
use crate::{operation::run, shim::Shim};

/// The service over one shim's state.
pub struct TaskService(pub Arc<Shim>);

#[async_trait]
impl Task for TaskService {
    async fn create(&self, context: &TtrpcContext, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
        let (shim, id) = (self.0.clone(), request.id.clone());
        run(&self.0, context, "Create", id, create::create(shim, request)).await
    }

    async fn start(&self, context: &TtrpcContext, request: StartRequest) -> Result<StartResponse> {
        let (shim, id) = (self.0.clone(), name(&request.id, &request.exec_id));
        run(&self.0, context, "Start", id, start::start(shim, request)).await
    }

    async fn delete(&self, context: &TtrpcContext, request: DeleteRequest) -> Result<DeleteResponse> {
        let (shim, id) = (self.0.clone(), name(&request.id, &request.exec_id));
        run(&self.0, context, "Delete", id, delete::delete(shim, request)).await
    }

    async fn exec(&self, context: &TtrpcContext, request: ExecProcessRequest) -> Result<Empty> {
        let (shim, id) = (self.0.clone(), name(&request.id, &request.exec_id));
        run(&self.0, context, "Exec", id, exec::exec(shim, request)).await
    }

    async fn kill(&self, context: &TtrpcContext, request: KillRequest) -> Result<Empty> {
        let (shim, id) = (self.0.clone(), name(&request.id, &request.exec_id));
        run(&self.0, context, "Kill", id, kill::kill(shim, request)).await
    }

    async fn pause(&self, context: &TtrpcContext, request: PauseRequest) -> Result<Empty> {
        let (shim, id) = (self.0.clone(), request.id.clone());
        run(&self.0, context, "Pause", id, pause::pause(shim, request.id)).await
    }

    async fn resume(&self, context: &TtrpcContext, request: ResumeRequest) -> Result<Empty> {
        let (shim, id) = (self.0.clone(), request.id.clone());
        run(&self.0, context, "Resume", id, pause::resume(shim, request.id)).await
    }

    async fn update(&self, context: &TtrpcContext, request: UpdateTaskRequest) -> Result<Empty> {
        let (shim, id) = (self.0.clone(), request.id.clone());
        run(&self.0, context, "Update", id, update::update(shim, request)).await
    }

    async fn resize_pty(&self, context: &TtrpcContext, request: ResizePtyRequest) -> Result<Empty> {
        let (shim, id) = (self.0.clone(), name(&request.id, &request.exec_id));
        run(&self.0, context, "ResizePty", id, io::resize(shim, request)).await
    }

    async fn close_io(&self, context: &TtrpcContext, request: CloseIORequest) -> Result<Empty> {
        let (shim, id) = (self.0.clone(), name(&request.id, &request.exec_id));
        run(&self.0, context, "CloseIO", id, io::close(shim, request)).await
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> Result<StateResponse> {
        query::state(&self.0, &request).await.map_err(|error| to_status(&error))
    }

    async fn pids(&self, context: &TtrpcContext, request: PidsRequest) -> Result<PidsResponse> {
        let (shim, id) = (self.0.clone(), request.id.clone());
        run(&self.0, context, "Pids", id, query::pids(shim, request)).await
    }

    async fn stats(&self, context: &TtrpcContext, request: StatsRequest) -> Result<StatsResponse> {
        let (shim, id) = (self.0.clone(), request.id.clone());
        run(&self.0, context, "Stats", id, stats::stats(shim, request)).await
    }

    /// Not an operation: it may last as long as the container.
    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> Result<WaitResponse> {
        let wait = async {
            let process = self.0.container(&request.id)?.process(&request.exec_id)?;
            process.wait().await
        };
        let exit = wait.await.map_err(|error| to_status(&error))?;
        Ok(WaitResponse {
            exit_status: exit.status(),
            exited_at: Some(timestamp(exit.at_nanos)).into(),
            ..WaitResponse::default()
        })
    }

    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> Result<ConnectResponse> {
        Ok(query::connect(&self.0, &request))
    }

    async fn shutdown(&self, context: &TtrpcContext, request: ShutdownRequest) -> Result<Empty> {
        let (shim, id) = (self.0.clone(), request.id.clone());
        run(&self.0, context, "Shutdown", id, shutdown::shutdown(shim, request)).await
    }

    async fn checkpoint(&self, _: &TtrpcContext, request: CheckpointTaskRequest) -> Result<Empty> {
        let error = Error::new(Kind::Unsupported, format!("checkpoint container {}", request.id));
        Err(to_status(&error))
    }
}

/// A container, or an exec in one, in the log.
fn name(id: &str, exec_id: &str) -> String {
    if exec_id.is_empty() { id.to_owned() } else { format!("{id}/{exec_id}") }
}
