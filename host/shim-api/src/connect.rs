use std::path::{Path, PathBuf};

use tokio::net::UnixStream;
use ttrpc::asynchronous::{Client, transport::Socket};
use wharf_error::{Error, Kind, Result, ResultExt as _};

/// The address of a socket file, as a shim's `start` prints it.
pub fn address_of(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

/// The socket file of an address. Only `unix://` with an absolute path is known.
pub fn path_of(address: &str) -> Result<PathBuf> {
    match address.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ => Err(Error::invalid(format!("shim address `{address}`: not unix:///absolute/path"))),
    }
}

/// Connects to a ttrpc server on a Unix socket (`unix:///…`).
///
/// Must be called inside a tokio runtime; the connection lives on a task of it until every clone of
/// the client is dropped. `Unavailable` when nobody listens.
pub async fn connect(address: &str) -> Result<Client> {
    let path = path_of(address)?;
    let stream = UnixStream::connect(&path).await;
    let stream = stream.step_as(Kind::Unavailable, || format!("connect to {}", path.display()))?;
    Ok(Client::new(Socket::from(stream)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_round_and_others_are_refused() {
        let path = Path::new("/run/wharf/pods/x/shim.sock");
        assert_eq!(path_of(&address_of(path)).unwrap(), path);
        for bad in ["", "/run/x", "unix://relative", "tcp://127.0.0.1:1"] {
            assert_eq!(path_of(bad).unwrap_err().kind(), Kind::InvalidArgument, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_missing_socket_is_unavailable() {
        let error = connect("unix:///does/not/exist").await.err().unwrap();
        assert_eq!(error.kind(), Kind::Unavailable);
    }
}
