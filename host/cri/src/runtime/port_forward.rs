use wharf_api::cri::{PortForwardRequest, PortForwardResponse};
use wharf_error::{Error, Kind, Result};
use wharf_pods::PodState;

use super::Runtime;

/// A URL for connections to ports of a pod; without ports, to those that its client names.
pub(super) async fn port_forward(runtime: &Runtime, request: PortForwardRequest) -> Result<PortForwardResponse> {
    let pod = runtime.pods.pod(&request.pod_sandbox_id)?;
    if pod.state() != PodState::Ready {
        return Err(Error::new(Kind::FailedPrecondition, format!("port-forward: pod sandbox {} is not ready", pod.id)));
    }
    let port = |port: &i32| {
        let number = u16::try_from(*port).ok().filter(|number| *number > 0);
        number.ok_or_else(|| Error::invalid(format!("port-forward: {port} is not a port")))
    };
    let ports = request.port.iter().map(port).collect::<Result<Vec<_>>>()?;
    let asked = wharf_streaming::PortForwardRequest { pod: pod.id, ports };
    Ok(PortForwardResponse { url: runtime.streams.port_forward_url(asked)? })
}
