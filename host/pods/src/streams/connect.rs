use std::{
    fs::File,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsFd as _,
    path::PathBuf,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{net::TcpStream, sync::oneshot};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{PodState, Pods};

/// How long a pod may take to accept a connection from its own loopback address.
const PATIENCE: Duration = Duration::from_secs(10);

impl Pods {
    /// Connects to a port on a pod's loopback address, IPv4 before IPv6, from inside of its network.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where the pod is not ready; `Unavailable` where nobody listens.
    pub(crate) async fn connect_to(&self, pod: &str, port: u16) -> Result<TcpStream> {
        let pod = self.pod(pod)?;
        let what = || format!("pod sandbox {}: connect to port {port}", pod.id);
        if pod.state() != PodState::Ready {
            return Err(Error::new(Kind::FailedPrecondition, format!("{}: it is not ready", what())));
        }
        let connected = inside_network(pod.netns().map(PathBuf::from), move || connect(port)).await;
        TcpStream::from_std(connected.step_as(Kind::Unavailable, what)?).step(what)
    }
}

/// Runs what blocks in a network namespace; without one, in the node's.
///
/// On a thread of its own: it enters another network and must not be used for anything else after.
pub(crate) async fn inside_network<T: Send + 'static>(
    netns: Option<PathBuf>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let what = || "enter the pod's network".to_owned();
    let (done, worked) = oneshot::channel();
    let inside = move || {
        if let Some(netns) = netns {
            move_into_link_name_space(File::open(netns)?.as_fd(), Some(LinkNameSpaceType::Network))?;
        }
        work()
    };
    let thread = std::thread::Builder::new().name("pod-network".into());
    thread.spawn(move || drop(done.send(inside()))).step(what)?;
    worked.await.step(what)?.step(what)
}

fn connect(port: u16) -> io::Result<std::net::TcpStream> {
    let (v4, v6) = (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    let connection = std::net::TcpStream::connect_timeout(&v4, PATIENCE)
        .or_else(|error| std::net::TcpStream::connect_timeout(&v6, PATIENCE).map_err(|_| error))?;
    connection.set_nonblocking(true)?;
    Ok(connection)
}
