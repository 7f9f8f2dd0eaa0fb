//! Any bytes as what a client sends once it has its streams, over SPDY, over WebSocket, and over one in the other: the
//! connection ends with the client, and the server stands.
#![no_main]

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use wharf_error::{Error, Result};
use wharf_streaming::{AttachRequest, ExecRequest, Handler, PortForwardRequest, Server, StreamingConfig, Streams};

/// How long the server may take to let go of a client that has gone.
const PATIENCE: Duration = Duration::from_secs(10);

struct World {
    // Serves for as long as it is there.
    _reactor: Runtime,
    server: Server,
}

/// Reads what comes, and says it again.
struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn exec(&self, _: ExecRequest, streams: Streams) -> Result<i32> {
        echo(streams).await;
        Ok(0)
    }

    async fn attach(&self, _: AttachRequest, streams: Streams) -> Result<()> {
        echo(streams).await;
        Ok(())
    }

    async fn connect(&self, _: &str, port: u16) -> Result<tokio::net::TcpStream> {
        Err(Error::invalid(format!("nobody listens on port {port}")))
    }
}

async fn echo(streams: Streams) {
    let Streams { stdin, stdout, gone, .. } = streams;
    let talk = async {
        if let (Some(mut stdin), Some(stdout)) = (stdin, stdout) {
            let mut stdout = stdout;
            while let Some(bytes) = stdin.next().await {
                if stdout.write(&bytes).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = talk => {}
        () = gone.cancelled() => {}
    }
}

impl World {
    fn start() -> Self {
        let reactor = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let reactor = reactor.expect("start a reactor");
        let config = StreamingConfig { creation_timeout: Duration::from_millis(50), ..StreamingConfig::default() };
        let listening = reactor.block_on(Server::bind(config, Arc::new(Echo))).expect("listen on loopback");
        let server = listening.server();
        reactor.spawn(listening.run());
        Self { _reactor: reactor, server }
    }

    fn converse(&self, how: u8, bytes: &[u8]) {
        let url = match how & 4 {
            0 => self.server.exec_url(ExecRequest { stdin: true, stdout: true, ..ExecRequest::default() }),
            _ => self.server.port_forward_url(PortForwardRequest { ports: vec![80], ..PortForwardRequest::default() }),
        };
        let url = url.expect("a URL");
        let path = url.strip_prefix(&format!("http://{}", self.server.address())).expect("our own address");
        let websocket = "GET PATH HTTP/1.1\r\nHost: fuzz\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ";
        let head = match (how & 3, how & 4) {
            (0 | 1, 0) => "POST PATH HTTP/1.1\r\nHost: fuzz\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
                .to_owned(),
            (0 | 1, _) => "POST PATH HTTP/1.1\r\nHost: fuzz\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                X-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n"
                .to_owned(),
            (2, 0) => format!("{websocket}v5.channel.k8s.io\r\n\r\n"),
            (2, _) => format!("{websocket}v4.channel.k8s.io\r\n\r\n"),
            (_, _) => format!("{websocket}SPDY/3.1+portforward.k8s.io\r\n\r\n"),
        };
        let mut connection = TcpStream::connect(self.server.address()).expect("connect");
        connection.set_read_timeout(Some(PATIENCE)).expect("set a deadline");
        // A server that has heard enough may close before all is said.
        let _ = connection.write_all(head.replace("PATH", path).as_bytes());
        let _ = connection.write_all(bytes);
        let _ = connection.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        match connection.read_to_end(&mut answer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection does not end with its client");
            }
            _ => {}
        }
    }
}

fuzz_target!(|input: &[u8]| {
    static WORLD: OnceLock<World> = OnceLock::new();
    let Some((how, bytes)) = input.split_first() else { return };
    WORLD.get_or_init(World::start).converse(*how, bytes);
});
