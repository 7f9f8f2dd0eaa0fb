//! Ports of pods: crictl's port-forward over both of its transports, and WebSocket channels.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    process::{Child, Stdio},
};

use futures::{SinkExt as _, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue};
use wharf_api::cri::PortForwardRequest;
use wharf_e2e::{Cri, Node, Pod};

/// A crictl that forwards, ended at the end of the test.
struct Forward {
    crictl: Child,
    port: u16,
}

/// A container that listens, and does so already.
fn listen(node: &Node, pod: &Pod, script: &str) {
    let id = node.run(pod, "main", script);
    node.exec(&id, "until grep -q ':1F90 .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done");
}

impl Forward {
    fn start(node: &Node, pod: &Pod, transport: &str, port: u16) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mapping = format!("{free}:{port}");
        let mut command = node.crictl.command(&["port-forward", "--transport", transport, &pod.id, &mapping]);
        let mut crictl = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = String::new();
        // It says so once it listens; and again for each connection, for which the pipe has room.
        let mut lines = BufReader::new(crictl.stdout.take().unwrap());
        lines.read_line(&mut said).unwrap();
        assert!(said.contains("Forwarding from"), "{transport}: {said}");
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { crictl, port: free }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.crictl.kill();
        let _ = self.crictl.wait();
    }
}

#[test]
fn a_gigabyte_goes_to_a_port_and_comes_back() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("large-port");
    listen(&node, &pod, "exec nc -ll -p 8080 -e cat");
    const SIZE: usize = 1 << 30;
    // A block that no stream's frames divide evenly, over and over.
    let block: Vec<u8> = (0..1_000_003u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for transport in ["spdy", "websocket"] {
        let forward = Forward::start(&node, &pod, transport, 8080);
        let mut connection = forward.connect();
        let mut writing = connection.try_clone().unwrap();
        let block = block.clone();
        let writer = std::thread::spawn(move || {
            let (mut left, mut digest) = (SIZE, Sha256::new());
            while left > 0 {
                let part = &block[..left.min(block.len())];
                writing.write_all(part).unwrap();
                digest.update(part);
                left -= part.len();
            }
            writing.shutdown(Shutdown::Write).unwrap();
            digest.finalize()
        });
        let (mut digest, mut count, mut chunk) = (Sha256::new(), 0, vec![0; 1 << 20]);
        while count < SIZE {
            match connection.read(&mut chunk).unwrap() {
                0 => break,
                read => {
                    digest.update(&chunk[..read]);
                    count += read;
                }
            }
        }
        assert_eq!(count, SIZE, "{transport}");
        assert!(digest.finalize() == writer.join().unwrap(), "{transport}: not the same bytes");
    }
    node.finish();
}

#[test]
fn connections_come_and_go_over_one_forward() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("ports");
    listen(&node, &pod, "exec nc -ll -p 8080 -e echo hello from the pod");
    for transport in ["spdy", "websocket"] {
        let forward = Forward::start(&node, &pod, transport, 8080);
        for _ in 0..3 {
            let mut heard = String::new();
            forward.connect().read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "hello from the pod\n", "{transport}");
        }
        // A port where nobody listens: an end, not silence.
        let forward = Forward::start(&node, &pod, transport, 9999);
        let mut heard = String::new();
        forward.connect().read_to_string(&mut heard).unwrap();
        assert!(heard.is_empty(), "{transport}: {heard}");
    }
    node.finish();
}

#[test]
fn two_channels_a_port_over_plain_websocket() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("channels");
    listen(&node, &pod, "exec nc -ll -p 8080 -e cat");
    let cri = Cri::new(&node.daemon.socket());
    let mut client = cri.runtime();
    let ports = vec![8080, 9999];
    let asked = PortForwardRequest { pod_sandbox_id: pod.id.clone(), port: ports };
    let url = cri.wait(client.port_forward(asked)).unwrap().into_inner().url;
    let address: std::net::SocketAddr = url.split('/').nth(2).unwrap().parse().unwrap();
    cri.wait(async {
        let mut request = url.replace("http://", "ws://").into_client_request().unwrap();
        let protocol = HeaderValue::from_static("v4.channel.k8s.io");
        request.headers_mut().insert("sec-websocket-protocol", protocol.clone());
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], protocol);
        socket.send(Message::Binary(b"\x00to the port".to_vec().into())).await.unwrap();
        let mut channels = vec![Vec::new(); 4];
        while !channels[0].ends_with(b"to the port") || channels[3].len() < 3 {
            let message = socket.next().await.expect("the conversation has ended").unwrap();
            if let Message::Binary(bytes) = message {
                channels[usize::from(bytes[0])].extend_from_slice(&bytes[1..]);
            }
        }
        // Each begins with its port, the lower byte first.
        assert_eq!(channels[0], [&8080u16.to_le_bytes()[..], b"to the port"].concat());
        assert_eq!(channels[1], 8080u16.to_le_bytes());
        assert_eq!(channels[2], 9999u16.to_le_bytes());
        let failure = String::from_utf8_lossy(&channels[3][2..]).into_owned();
        assert!(failure.contains("port 9999"), "{failure}");
        socket.close(None).await.unwrap();
    });
    node.finish();
}
