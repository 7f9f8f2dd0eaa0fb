//! `containerd.runtime.sandbox.v1.Sandbox`: the pod around the containers.

mod create;
mod init;
mod shutdown;
mod status;
mod stop;
mod witness;

use std::{
    os::fd::AsFd as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::{io::Interest, sync::watch};
use wharf_cgroups::Cgroup;
use wharf_error::{Error, Result, ResultExt as _};
use wharf_runtime::PodNamespaces;
use wharf_shim_api::{
    SandboxOptions,
    sandbox::{
        CreateSandboxRequest, CreateSandboxResponse, PingRequest, PingResponse, Platform, PlatformRequest,
        PlatformResponse, Sandbox as Service, SandboxMetricsRequest, SandboxMetricsResponse, SandboxStatusRequest,
        SandboxStatusResponse, ShutdownSandboxRequest, ShutdownSandboxResponse, StartSandboxRequest,
        StartSandboxResponse, StopSandboxRequest, StopSandboxResponse, WaitSandboxRequest, WaitSandboxResponse,
    },
    timestamp, to_status, ttrpc,
    ttrpc::asynchronous::TtrpcContext,
};

pub use self::shutdown::take_down;
use self::{init::Init, witness::Witness};
use crate::{io, logs::now_nanos, operation::run, shim::Shim};

/// The pod.
pub struct Sandbox {
    pub options: SandboxOptions,
    pub namespaces: Arc<PodNamespaces>,
    /// Where we pinned its network namespace.
    pub netns: Option<PathBuf>,
    /// The cgroup of the pod, when the options name one.
    pub cgroup: Option<Cgroup>,
    pub created_nanos: i64,
    /// Of a pod whose containers share their processes, or that is to have a process of its own.
    init: Mutex<Option<Init>>,
    /// Once somebody has asked for it.
    witness: Mutex<Option<Witness>>,
    stage: watch::Sender<Stage>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Created,
    Ready,
    /// When it was stopped, nanoseconds since the epoch.
    Stopped(i64),
}

/// The service over one shim's state.
pub struct SandboxService(pub Arc<Shim>);

// === impl Sandbox ===

impl Sandbox {
    pub fn is_stopped(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Stopped(_))
    }

    /// The pod's cgroup where somebody else makes and ends it.
    pub fn scope(&self) -> Option<&Cgroup> {
        self.cgroup.as_ref().filter(|_| self.options.holder)
    }

    /// The process that was asked for with the options.
    fn holder(&self) -> Option<i32> {
        let init = self.init.lock().unwrap_or_else(PoisonError::into_inner);
        init.as_ref().filter(|_| self.options.holder).map(|init| init.pid)
    }

    /// Ends the shared PID namespace, if there is one, and the pod's own process.
    fn end_init(&self) {
        self.init.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Once the pod's own process ends, the pod has stopped: nothing can be made in its PID namespace, or in the cgroup around
    /// it, any more.
    fn end_with_init(self: &Arc<Self>) -> Result<()> {
        let Some(pidfd) = self.init.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Init::watch) else {
            return Ok(());
        };
        let pidfd = io::watch(pidfd?, Interest::READABLE).step(|| "watch the pod's own process".into())?;
        let pod = Arc::downgrade(self);
        tokio::spawn(async move {
            // Fails only when the event loop ends, and this process with it.
            let _ = pidfd.readable().await;
            if let Some(pod) = pod.upgrade().filter(|pod| !pod.is_stopped()) {
                tracing::error!("the pod's own process was ended by somebody else, and with it the pod");
                pod.set_stage(Stage::Stopped(now_nanos()));
            }
        });
        Ok(())
    }

    /// The id of a task of ours in the pod's network; none: it has none of its own.
    fn network_witness(&self) -> Result<Option<u32>> {
        let Some(net) = &self.namespaces.net else { return Ok(None) };
        let mut there = self.witness.lock().unwrap_or_else(PoisonError::into_inner);
        if there.is_none() {
            *there = Some(Witness::enter(net.as_fd())?);
        }
        Ok(there.as_ref().map(|witness| witness.id))
    }

    fn set_stage(&self, stage: Stage) {
        self.stage.send_if_modified(|old| {
            let changed = !matches!(old, Stage::Stopped(_)) && *old != stage;
            if changed {
                *old = stage;
            }
            changed
        });
    }
}

// === impl SandboxService ===

#[async_trait]
impl Service for SandboxService {
    async fn create_sandbox(
        &self,
        context: &TtrpcContext,
        request: CreateSandboxRequest,
    ) -> ttrpc::Result<CreateSandboxResponse> {
        let (shim, id) = (self.0.clone(), request.sandbox_id.clone());
        run(&self.0, context, "CreateSandbox", id, create::create(shim, request)).await
    }

    async fn start_sandbox(
        &self,
        context: &TtrpcContext,
        request: StartSandboxRequest,
    ) -> ttrpc::Result<StartSandboxResponse> {
        let (shim, id) = (self.0.clone(), request.sandbox_id.clone());
        run(&self.0, context, "StartSandbox", id, create::start(shim, request)).await
    }

    async fn stop_sandbox(
        &self,
        context: &TtrpcContext,
        request: StopSandboxRequest,
    ) -> ttrpc::Result<StopSandboxResponse> {
        let (shim, id) = (self.0.clone(), request.sandbox_id.clone());
        run(&self.0, context, "StopSandbox", id, stop::stop(shim, request)).await
    }

    async fn shutdown_sandbox(
        &self,
        context: &TtrpcContext,
        request: ShutdownSandboxRequest,
    ) -> ttrpc::Result<ShutdownSandboxResponse> {
        let (shim, id) = (self.0.clone(), request.sandbox_id.clone());
        run(&self.0, context, "ShutdownSandbox", id, shutdown::shutdown(shim, request)).await
    }

    /// Not an operation: it may last as long as the pod.
    async fn wait_sandbox(&self, _: &TtrpcContext, request: WaitSandboxRequest) -> ttrpc::Result<WaitSandboxResponse> {
        let stopped = async {
            let mut stage = find(&self.0, &request.sandbox_id)?.stage.subscribe();
            match stage.wait_for(|stage| matches!(stage, Stage::Stopped(_))).await.as_deref() {
                Ok(Stage::Stopped(at)) => Ok(*at),
                _ => Err(Error::internal("the pod was forgotten")),
            }
        };
        let at = stopped.await.map_err(|error| to_status(&error))?;
        Ok(WaitSandboxResponse { exited_at: Some(timestamp(at)).into(), ..WaitSandboxResponse::default() })
    }

    async fn sandbox_status(
        &self,
        _: &TtrpcContext,
        request: SandboxStatusRequest,
    ) -> ttrpc::Result<SandboxStatusResponse> {
        status::status(&self.0, &request).await.map_err(|error| to_status(&error))
    }

    async fn sandbox_metrics(
        &self,
        context: &TtrpcContext,
        request: SandboxMetricsRequest,
    ) -> ttrpc::Result<SandboxMetricsResponse> {
        let (shim, id) = (self.0.clone(), request.sandbox_id.clone());
        run(&self.0, context, "SandboxMetrics", id, status::metrics(shim, request)).await
    }

    async fn ping_sandbox(&self, _: &TtrpcContext, _: PingRequest) -> ttrpc::Result<PingResponse> {
        Ok(PingResponse::default())
    }

    async fn platform(&self, _: &TtrpcContext, _: PlatformRequest) -> ttrpc::Result<PlatformResponse> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let platform = Platform { os: "linux".into(), architecture: architecture.into(), ..Platform::default() };
        Ok(PlatformResponse { platform: Some(platform).into(), ..PlatformResponse::default() })
    }
}

/// The pod, when it is the one that is asked for.
fn find(shim: &Shim, id: &str) -> Result<Arc<Sandbox>> {
    shim.sandbox().filter(|_| id.is_empty() || id == shim.id).ok_or_else(|| Error::not_found("pod", id))
}
