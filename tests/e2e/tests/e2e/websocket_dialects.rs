//! What clients say over WebSocket that crictl does not: browsers' base64, and text where bytes belong.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue};
use wharf_api::cri::ExecRequest;
use wharf_e2e::{Cri, Node};

const DEADLINE: Duration = Duration::from_secs(60);

/// Says the messages to a shell in the container and answers what it said, as channels and their bytes, until all of
/// `until` has come on channel 1.
fn talk(
    node: &Node,
    container: &str,
    protocol: &'static str,
    tty: bool,
    messages: &[Message],
    until: &str,
) -> Vec<String> {
    let cri = Cri::new(&node.daemon.socket());
    let asked = ExecRequest {
        container_id: container.into(),
        cmd: vec!["sh".into()],
        tty,
        stdin: true,
        stdout: true,
        stderr: false,
    };
    let url = cri.wait(cri.runtime().exec(asked)).unwrap().into_inner().url;
    let address: std::net::SocketAddr = url.split('/').nth(2).unwrap().parse().unwrap();
    let talking = async {
        let mut request = url.replace("http://", "ws://").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(protocol));
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], protocol);
        for message in messages {
            socket.send(message.clone()).await.unwrap();
        }
        let mut frames = Vec::new();
        while !frames.iter().any(|frame: &String| frame.contains(until)) {
            match socket.next().await.expect("the conversation has ended").unwrap() {
                Message::Text(text) => frames.push(text.to_string()),
                Message::Binary(bytes) => frames.push(String::from_utf8_lossy(&bytes).into_owned()),
                _ => {}
            }
        }
        socket.close(None).await.unwrap();
        frames
    };
    cri.wait(async { tokio::time::timeout(DEADLINE, talking).await.expect("it was not said in time") })
}

#[test]
fn base64_is_spoken_both_ways() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("browser");
    let id = node.run(&pod, "main", "exec sleep 1000");
    for protocol in ["base64.channel.k8s.io", "v4.base64.channel.k8s.io"] {
        // echo browser
        let said = [Message::Text("0ZWNobyBicm93c2VyCg==".into())];
        // browser
        let heard = talk(&node, &id, protocol, false, &said, "1YnJvd3Nlcgo=");
        assert_eq!(heard.last().unwrap(), "1YnJvd3Nlcgo=", "{protocol}: {heard:?}");
    }
    node.finish();
}

#[test]
fn text_is_taken_for_bytes_and_each_version_has_sizes() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("python");
    let id = node.run(&pod, "main", "exec sleep 1000");
    for protocol in ["v4.channel.k8s.io", "channel.k8s.io"] {
        let said = [
            Message::Text("\u{4}{\"Width\":91,\"Height\":37}".into()),
            // Its size is not known yet: what was said before stays.
            Message::Text("\u{4}{\"Width\":0,\"Height\":0}".into()),
            Message::Text("\0until stty size | grep 37; do sleep 0.1; done; echo done-$((1+1))\n".into()),
        ];
        let heard = talk(&node, &id, protocol, true, &said, "done-2").concat();
        assert!(heard.contains("37 91"), "{protocol}: {heard:?}");
    }
    node.finish();
}
