use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, Process};
use wharf_error::{Error, Result, ResultExt as _};
use wharf_shim_api::{
    CREATE_OPTIONS_TYPE_URL, CreateOptions, ImageMount, Stdio,
    task::{
        CloseIORequest, CreateTaskRequest, DeleteRequest, ExecProcessRequest, KillRequest, Mount, ResizePtyRequest,
        StartRequest, StateRequest, Status, UpdateTaskRequest, WaitRequest,
    },
    timestamp_nanos, to_json,
};
use wharf_snapshots::Mounts;

use super::Shim;
use crate::handler::Maker;

/// The type that containerd's clients name for a process in an `Any`.
const PROCESS_TYPE_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// The type that they name for limits.
const RESOURCES_TYPE_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

/// A container to be made from its bundle.
pub(crate) struct NewTask<'a> {
    pub(crate) id: &'a str,
    pub(crate) bundle: &'a Path,
    pub(crate) mounts: &'a Mounts,
    pub(crate) image_mounts: Vec<ImageMount>,
    pub(crate) volatile: bool,
    /// Whether the root is mounted for the pod's user namespace.
    pub(crate) idmapped: bool,
    pub(crate) strict_groups: bool,
    pub(crate) own_pids: bool,
    /// Folders that are made in it where they are missing.
    pub(crate) folders: &'a [PathBuf],
    /// Who makes it.
    pub(crate) maker: &'a Maker,
    pub(crate) terminal: bool,
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

/// A process to be made in a running container.
pub(crate) struct NewExec<'a> {
    pub(crate) id: &'a str,
    pub(crate) exec: &'a str,
    pub(crate) process: &'a Process,
    pub(crate) terminal: bool,
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    /// Nanoseconds since 1970.
    pub(crate) at: i64,
}

/// What the shim knows of a container.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TaskState {
    /// Made, not started.
    Created,
    /// It runs, as this process.
    Running(u32),
    /// It has ended.
    Stopped(Exit),
}

// === impl Shim ===

impl Shim {
    /// Makes the container, up to just before its first instruction; answers its process id.
    pub(crate) async fn create_task(&self, new: &NewTask<'_>) -> Result<u32> {
        let (oci, other) = match new.maker {
            Maker::Shim => (None, None),
            Maker::Oci(runtime) => (Some(runtime.clone()), None),
            Maker::Other(shim) => (None, Some(shim.clone())),
        };
        let options = CreateOptions {
            root: Some(new.mounts.root.clone()),
            volatile: new.volatile,
            idmapped_root: new.idmapped,
            strict_groups: new.strict_groups,
            own_pids: new.own_pids,
            image_mounts: new.image_mounts.clone(),
            folders: new.folders.to_vec(),
            oci,
            other,
        };
        let mount = |mount: &wharf_snapshots::Mount| Mount {
            type_: mount.type_.clone(),
            source: mount.source.clone(),
            options: mount.options.clone(),
            ..Default::default()
        };
        let request = CreateTaskRequest {
            id: new.id.to_owned(),
            bundle: new.bundle.display().to_string(),
            rootfs: new.mounts.mounts.iter().map(mount).collect(),
            terminal: new.terminal,
            stdin: new.stdin.to_string(),
            stdout: new.stdout.to_string(),
            stderr: new.stderr.to_string(),
            options: Some(to_json(CREATE_OPTIONS_TYPE_URL, &options)?).into(),
            ..Default::default()
        };
        let tasks = self.tasks();
        self.ask("create task", |context| async move { tasks.create(context, &request).await })
            .await
            .map(|made| made.pid)
    }

    /// Starts a container, or with an `exec` a process made in it; answers its process id.
    pub(crate) async fn start_task(&self, id: &str, exec: &str) -> Result<u32> {
        let request = StartRequest { id: id.into(), exec_id: exec.into(), ..Default::default() };
        let tasks = self.tasks();
        Ok(self.ask("start task", |context| async move { tasks.start(context, &request).await }).await?.pid)
    }

    /// Makes a process in a running container, to be started by [`Shim::start_task`].
    pub(crate) async fn exec(&self, new: &NewExec<'_>) -> Result<()> {
        let request = ExecProcessRequest {
            id: new.id.into(),
            exec_id: new.exec.into(),
            terminal: new.terminal,
            stdin: new.stdin.to_string(),
            stdout: new.stdout.to_string(),
            stderr: new.stderr.to_string(),
            spec: Some(to_json(PROCESS_TYPE_URL, new.process)?).into(),
            ..Default::default()
        };
        let tasks = self.tasks();
        self.ask("exec", |context| async move { tasks.exec(context, &request).await }).await.map(drop)
    }

    /// Tells the terminal of a container, or of a process in it, its size.
    pub(crate) async fn resize(&self, id: &str, exec: &str, width: u16, height: u16) -> Result<()> {
        let request = ResizePtyRequest {
            id: id.into(),
            exec_id: exec.into(),
            width: width.into(),
            height: height.into(),
            ..Default::default()
        };
        let tasks = self.tasks();
        self.ask("resize terminal", |context| async move { tasks.resize_pty(context, &request).await }).await.map(drop)
    }

    /// Lets a process read the end of its input.
    pub(crate) async fn close_stdin(&self, id: &str, exec: &str) -> Result<()> {
        let request = CloseIORequest { id: id.into(), exec_id: exec.into(), stdin: true, ..Default::default() };
        let tasks = self.tasks();
        self.ask("close stdin", |context| async move { tasks.close_io(context, &request).await }).await.map(drop)
    }

    /// Waits for the end of a container or of a process in it, as long as it takes.
    pub(crate) async fn wait(&self, id: &str, exec: &str) -> Result<Exit> {
        let request = WaitRequest { id: id.into(), exec_id: exec.into(), ..Default::default() };
        let tasks = self.tasks();
        let ended =
            self.ask_for_ever("wait for task", |context| async move { tasks.wait(context, &request).await }).await?;
        Ok(Exit { code: code(ended.exit_status)?, at: timestamp_nanos(&ended.exited_at) })
    }

    /// Sends a signal; `all`: to every process of the container, or to an exec and what it started.
    pub(crate) async fn kill(&self, id: &str, exec: &str, signal: i32, all: bool) -> Result<()> {
        let signal = u32::try_from(signal).step(|| format!("signal {signal}"))?;
        let request = KillRequest { id: id.into(), exec_id: exec.into(), signal, all, ..Default::default() };
        let tasks = self.tasks();
        self.ask("kill task", |context| async move { tasks.kill(context, &request).await }).await.map(drop)
    }

    /// Changes limits of a container; those that are not named stay.
    pub(crate) async fn update(&self, id: &str, resources: &LinuxResources) -> Result<()> {
        let request = UpdateTaskRequest {
            id: id.into(),
            resources: Some(to_json(RESOURCES_TYPE_URL, resources)?).into(),
            ..Default::default()
        };
        let tasks = self.tasks();
        self.ask("update task", |context| async move { tasks.update(context, &request).await }).await.map(drop)
    }

    /// Forgets a container or process that has ended, and its exit code.
    pub(crate) async fn delete_task(&self, id: &str, exec: &str) -> Result<()> {
        let request = DeleteRequest { id: id.into(), exec_id: exec.into(), ..Default::default() };
        let tasks = self.tasks();
        self.ask("delete task", |context| async move { tasks.delete(context, &request).await }).await.map(drop)
    }

    /// What the shim knows of a container. `NotFound`: it was never made, or is deleted.
    pub(crate) async fn state(&self, id: &str) -> Result<TaskState> {
        let request = StateRequest { id: id.into(), ..Default::default() };
        let tasks = self.tasks();
        let state = self.ask("state of task", |context| async move { tasks.state(context, &request).await }).await?;
        Ok(match state.status.enum_value_or_default() {
            Status::CREATED | Status::UNKNOWN => TaskState::Created,
            Status::STOPPED => {
                TaskState::Stopped(Exit { code: code(state.exit_status)?, at: timestamp_nanos(&state.exited_at) })
            }
            Status::RUNNING | Status::PAUSED | Status::PAUSING => TaskState::Running(state.pid),
        })
    }
}

fn code(status: u32) -> Result<i32> {
    i32::try_from(status).map_err(|_| Error::internal(format!("exit status {status} is no exit status")))
}
