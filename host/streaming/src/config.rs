use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Where streams are served, and for how long.
#[derive(Clone, Debug)]
pub struct StreamingConfig {
    /// The address to listen on; port 0: any that is free. Who can reach it and has a token can use it: loopback,
    /// unless the kubelet is elsewhere.
    pub address: SocketAddr,
    /// Speak TLS; none: clients are close enough that nobody listens in.
    pub tls: Option<TlsFiles>,
    /// A connection over which no byte of a stream has passed for so long is closed.
    pub idle_timeout: Duration,
    /// How long a client may take to open the streams that it has asked for.
    pub creation_timeout: Duration,
    /// How long a URL waits for its client.
    pub token_lifetime: Duration,
}

/// Files in PEM form, read when the server starts to listen.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities: only clients with a certificate of one of them are served. None: a URL is all that a client needs.
    pub client_ca: Option<PathBuf>,
}

impl Default for StreamingConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            idle_timeout: Duration::from_secs(4 * 60 * 60),
            creation_timeout: Duration::from_secs(30),
            token_lifetime: Duration::from_secs(60),
        }
    }
}
