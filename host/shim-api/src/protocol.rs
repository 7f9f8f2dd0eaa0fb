//! The generated services under readable names.

/// The ttrpc runtime: clients, servers, contexts.
pub use ttrpc;

/// `containerd.task.v3.Task`: the life of containers and of processes executed in them.
pub mod task {
    pub use containerd_shim_protos::{
        api::{
            CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse, DeleteRequest,
            DeleteResponse, Empty, ExecProcessRequest, KillRequest, Mount, PauseRequest, PidsRequest, PidsResponse,
            ProcessInfo, ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest, StartResponse, StateRequest,
            StateResponse, StatsRequest, StatsResponse, Status, UpdateTaskRequest, WaitRequest, WaitResponse,
        },
        cgroups::metrics as metrics_v1,
        shim_async::{Task, TaskClient, create_task},
    };
    pub use protobuf::well_known_types::{any::Any, timestamp::Timestamp};

    pub use containerd_shim_protos::api::CheckpointTaskRequest;
}

/// `containerd.runtime.sandbox.v1.Sandbox`: the life of the pod.
pub mod sandbox {
    pub use containerd_shim_protos::{
        sandbox_api::{
            CreateSandboxRequest, CreateSandboxResponse, PingRequest, PingResponse, PlatformRequest, PlatformResponse,
            SandboxMetricsRequest, SandboxMetricsResponse, SandboxStatusRequest, SandboxStatusResponse,
            ShutdownSandboxRequest, ShutdownSandboxResponse, StartSandboxRequest, StartSandboxResponse,
            StopSandboxRequest, StopSandboxResponse, WaitSandboxRequest, WaitSandboxResponse,
        },
        sandbox_async::{Sandbox, SandboxClient, create_sandbox},
        types::platform::Platform,
    };
}

/// `containerd.services.events.ttrpc.v1.Events`: what a shim forwards to the daemon.
pub mod events {
    pub use containerd_shim_protos::{
        events::task::{
            TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskIO, TaskOOM, TaskPaused, TaskResumed,
            TaskStart,
        },
        shim::{event::Envelope, events::ForwardRequest},
        shim_async::{Events, EventsClient, create_events},
        topics,
    };
}
