use async_trait::async_trait;
use tokio::net::TcpStream;
use wharf_error::Result;

use crate::Streams;

/// A command to run in a container, its streams connected to a client.
#[derive(Clone, Debug, Default)]
pub struct ExecRequest {
    /// The container's id.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether the client writes.
    pub stdin: bool,
    /// Whether the client reads its output.
    pub stdout: bool,
    /// Whether the client reads its errors.
    pub stderr: bool,
}

/// A client that wants to read and write along with a container's first process.
#[derive(Clone, Debug, Default)]
pub struct AttachRequest {
    /// The container's id.
    pub container: String,
    /// Whether the container has a terminal.
    pub tty: bool,
    /// Whether the client writes.
    pub stdin: bool,
    /// Whether the client reads output.
    pub stdout: bool,
    /// Whether the client reads errors.
    pub stderr: bool,
}

/// A client that wants to connect to ports of a pod.
#[derive(Clone, Debug, Default)]
pub struct PortForwardRequest {
    /// The pod's id.
    pub pod: String,
    /// The ports that it may connect to; empty: those that the client names.
    pub ports: Vec<u16>,
}

/// What is behind the streams.
///
/// A call ends soon after [`Streams::gone`]; it is never dropped before its end.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Runs the command to its end and answers its exit code. Its process is gone when this returns.
    async fn exec(&self, request: ExecRequest, streams: Streams) -> Result<i32>;

    /// Connects to the container until either side ends.
    async fn attach(&self, request: AttachRequest, streams: Streams) -> Result<()>;

    /// Connects to a port on the loopback address of the pod's network.
    async fn connect(&self, pod: &str, port: u16) -> Result<TcpStream>;
}
