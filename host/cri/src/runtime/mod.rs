//! `runtime.v1.RuntimeService`.

mod attach;
mod cni_result;
mod container_stats;
mod container_status;
mod convert;
mod create_container;
mod exec;
mod exec_sync;
mod get_container_events;
mod list_container_stats;
mod list_containers;
mod list_metric_descriptors;
mod list_pod_sandbox;
mod list_pod_sandbox_metrics;
mod list_pod_sandbox_stats;
mod metrics;
mod network_request;
mod pod_sandbox_stats;
mod pod_sandbox_status;
mod port_forward;
mod remove_container;
mod remove_pod_sandbox;
mod reopen_container_log;
mod run_pod_sandbox;
mod runtime_config;
mod sandbox_options;
mod service;
mod start_container;
mod stats;
mod status;
mod stop_container;
mod stop_pod_sandbox;
mod stream_container_stats;
mod stream_containers;
mod stream_pod_sandbox_metrics;
mod stream_pod_sandbox_stats;
mod stream_pod_sandboxes;
mod update_container_resources;
mod update_pod_sandbox_resources;
mod update_runtime_config;
mod version;

use std::sync::Arc;

use tokio::sync::OnceCell;
use wharf_api::cri::runtime_service_server::{RuntimeService, RuntimeServiceServer};
use wharf_error::{Result, ResultExt as _};
use wharf_images::Images;
use wharf_pods::Pods;
use wharf_streaming::Server;

use crate::{CriConfig, LONGEST_ANSWER, LONGEST_REQUEST, spec::Node};

/// What every RPC works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Runtime {
    config: CriConfig,
    pods: Pods,
    images: Images,
    streams: Server,
    node: Arc<OnceCell<Arc<Node>>>,
}

/// The runtime service over these pods and images, to be added to a server. `streams` is where clients are sent that
/// want a container's streams.
pub fn runtime_service(
    config: CriConfig,
    pods: Pods,
    images: Images,
    streams: Server,
) -> RuntimeServiceServer<impl RuntimeService> {
    let runtime = Runtime { config, pods, images, streams, node: Arc::default() };
    RuntimeServiceServer::new(runtime)
        .max_decoding_message_size(LONGEST_REQUEST)
        .max_encoding_message_size(LONGEST_ANSWER)
}

// === impl Runtime ===

impl Runtime {
    /// The containerd namespace that CRI sees.
    fn namespace(&self) -> &str {
        &self.pods.config().namespace
    }

    /// What this machine has; looked at once, but for its name, which others set when they please.
    async fn node(&self) -> Result<Arc<Node>> {
        let read = || async {
            let read = tokio::task::spawn_blocking(Node::read).await;
            Ok(Arc::new(read.step(|| "look at what this machine has".into())??))
        };
        let node: Result<_> = self.node.get_or_try_init(read).await.cloned();
        let node: Arc<Node> = node?;
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if hostname == node.hostname {
            return Ok(node);
        }
        Ok(Arc::new(Node { hostname, ..(*node).clone() }))
    }
}
