use std::{path::Path, time::Duration};

use wharf_error::{Error, Kind, Result};
use wharf_shim_api::{
    HOLDER, NETWORK_TASK, SANDBOX_OPTIONS_TYPE_URL, SandboxOptions,
    sandbox::{
        CreateSandboxRequest, PingRequest, SandboxStatusRequest, SandboxStatusResponse, ShutdownSandboxRequest,
        StartSandboxRequest, StopSandboxRequest, WaitSandboxRequest,
    },
    to_json,
};

use super::Shim;

/// A shim that is stopped, or that waits for the kernel, does not answer at all.
const SOON: Duration = Duration::from_secs(5);

// === impl Shim ===

impl Shim {
    /// Makes the pod's namespaces.
    pub(crate) async fn create_sandbox(&self, bundle: &Path, options: &SandboxOptions) -> Result<()> {
        let request = CreateSandboxRequest {
            sandbox_id: self.pod.to_string(),
            bundle_path: bundle.display().to_string(),
            options: Some(to_json(SANDBOX_OPTIONS_TYPE_URL, options)?).into(),
            netns_path: options.netns_path.clone().unwrap_or_default(),
            ..Default::default()
        };
        let sandboxes = self.sandboxes();
        self.ask("create sandbox", |context| async move { sandboxes.create_sandbox(context, &request).await })
            .await
            .map(drop)
    }

    /// Answers the shim's process id.
    pub(crate) async fn start_sandbox(&self) -> Result<u32> {
        let request = StartSandboxRequest { sandbox_id: self.pod.to_string(), ..Default::default() };
        let sandboxes = self.sandboxes();
        let started =
            self.ask("start sandbox", |context| async move { sandboxes.start_sandbox(context, &request).await });
        Ok(started.await?.pid)
    }

    /// Whether it answers soon: its event loop, which waits for nothing, does.
    pub(crate) async fn is_alive(&self) -> bool {
        matches!(tokio::time::timeout(SOON, self.ping()).await, Ok(Ok(())))
    }

    /// Whether the shim answers.
    pub(crate) async fn ping(&self) -> Result<()> {
        let request = PingRequest { sandbox_id: self.pod.to_string(), ..Default::default() };
        let sandboxes = self.sandboxes();
        self.ask("ping", |context| async move { sandboxes.ping_sandbox(context, &request).await }).await.map(drop)
    }

    /// The id of a task in the pod's network. A shim of others says none, and has a process that is in it.
    pub(crate) async fn network_task(&self) -> Result<u32> {
        let status = self.sandbox_status().await?;
        Ok(status.info.get(NETWORK_TASK).and_then(|id| id.parse().ok()).unwrap_or(status.pid))
    }

    /// The process that holds the pod's control group, asked for with the sandbox's options.
    pub(crate) async fn holder(&self) -> Result<u32> {
        let status = self.sandbox_status().await?;
        let pid = status.info.get(HOLDER).and_then(|id| id.parse().ok());
        pid.ok_or_else(|| {
            Error::new(Kind::Unsupported, "the pod's supervisor knows nothing of a process for its control group")
                .hint("install the containerd-shim-wharf-v1 that came with this wharf")
        })
    }

    async fn sandbox_status(&self) -> Result<SandboxStatusResponse> {
        let request = SandboxStatusRequest { sandbox_id: self.pod.to_string(), verbose: true, ..Default::default() };
        let sandboxes = self.sandboxes();
        self.ask("sandbox status", |context| async move { sandboxes.sandbox_status(context, &request).await }).await
    }

    /// Waits for the end of the sandbox, as long as it takes.
    pub(crate) async fn wait_sandbox(&self) -> Result<()> {
        let request = WaitSandboxRequest { sandbox_id: self.pod.to_string(), ..Default::default() };
        let sandboxes = self.sandboxes();
        let waiting =
            self.ask_for_ever("wait", |context| async move { sandboxes.wait_sandbox(context, &request).await });
        waiting.await.map(drop)
    }

    /// Kills every container of the pod.
    pub(crate) async fn stop_sandbox(&self) -> Result<()> {
        let request = StopSandboxRequest { sandbox_id: self.pod.to_string(), ..Default::default() };
        let sandboxes = self.sandboxes();
        self.ask("stop sandbox", |context| async move { sandboxes.stop_sandbox(context, &request).await })
            .await
            .map(drop)
    }

    /// Ends the namespaces, then the shim itself.
    pub(crate) async fn shutdown(&self) -> Result<()> {
        let request = ShutdownSandboxRequest { sandbox_id: self.pod.to_string(), ..Default::default() };
        let sandboxes = self.sandboxes();
        self.ask("shut sandbox down", |context| async move { sandboxes.shutdown_sandbox(context, &request).await })
            .await
            .map(drop)
    }
}
