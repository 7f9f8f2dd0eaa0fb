//! Registries of this machine that no file describes: TLS, or plain http.

#![allow(clippy::unwrap_used, reason = "a test ends where it is wrong")]

mod support;

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use support::{Fake, OCI_MANIFEST, certificate, client, hosts, manifest, manifest_reply, reference};
use wharf_error::Kind;
use wharf_registry::{Client, ClientConfig};

/// The first byte of who speaks TLS.
const HANDSHAKE: u8 = 0x16;

/// What a server in clear does to who speaks TLS.
#[derive(Clone, Copy, Debug)]
enum To {
    /// An answer in clear, as Go's server has it.
    Answer,
    HangUp,
    /// It waits for the end of the request.
    Wait,
}

/// A server in clear, for as long as the process is there; its address, and how often it was spoken to by TLS.
fn clear_server(to: To) -> (String, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let by_tls = Arc::new(AtomicUsize::new(0));
    let count = by_tls.clone();
    std::thread::spawn(move || {
        let mut waiting = Vec::new();
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), [0; 4096]);
            if stream.read(&mut request).unwrap() == 0 {
                continue;
            }
            let reply = match (request[0] == HANDSHAKE, to) {
                (false, _) => format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {OCI_MANIFEST}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
                    manifest().len(),
                    manifest()
                ),
                (true, To::Answer) => "HTTP/1.0 400 Bad Request\r\n\r\nthis is http\n".into(),
                (true, _) => String::new(),
            };
            count.fetch_add(usize::from(request[0] == HANDSHAKE), Ordering::SeqCst);
            let _ = stream.write_all(reply.as_bytes());
            if reply.is_empty() && matches!(to, To::Wait) {
                waiting.push(stream);
            }
        }
    });
    (address, by_tls)
}

#[tokio::test]
async fn who_does_not_speak_tls_is_asked_in_clear_and_that_is_remembered() {
    for to in [To::Answer, To::HangUp, To::Wait] {
        let (address, by_tls) = clear_server(to);
        let dir = tempfile::tempdir().unwrap();
        let client = Client::new(ClientConfig {
            certs_d: dir.path().into(),
            connect_timeout: Duration::from_millis(if matches!(to, To::Wait) { 500 } else { 30_000 }),
            ..Default::default()
        });
        let client = client.unwrap();
        for _ in 0..3 {
            client.resolve(&reference(&address, "a/b:1"), None).await.unwrap();
        }
        assert_eq!(by_tls.load(Ordering::SeqCst), 1, "{to:?}");
    }
}

#[tokio::test]
async fn who_speaks_tls_needs_no_certificate_that_is_known() {
    let (config, _) = certificate();
    let fake = Fake::start_tls(config, |_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    client(dir.path()).resolve(&reference(&fake.address, "a/b:1"), None).await.unwrap();
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn one_that_learns_tls_is_asked_by_tls_again() {
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    // An address of its own: on the usual one another test may be given the port meanwhile.
    let fake = Fake::start_at("127.83.1.11:0", |_| manifest_reply()).await;
    let (address, image) = (fake.address.clone(), reference(&fake.address, "a/b:1"));
    client.resolve(&image, None).await.unwrap();
    drop(fake);
    let (config, _) = certificate();
    let fake = Fake::start_tls_at(&address, config, |_| manifest_reply()).await;
    client.resolve(&image, None).await.unwrap();
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_host_of_http_with_settings_of_tls_is_asked_by_both() {
    let (config, _) = certificate();
    let secure = Fake::start_tls(config, |_| manifest_reply()).await;
    let clear = Fake::start(|_| manifest_reply()).await;
    for fake in [&secure, &clear] {
        let dir = tempfile::tempdir().unwrap();
        hosts(dir.path(), "r.example", &format!("[host.'http://{}']\nskip_verify = true", fake.address));
        client(dir.path()).resolve(&reference("r.example", "a/b:1"), None).await.unwrap();
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn behind_a_wrong_port_nobody_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    // By all these retries it would take hours.
    let client = Client::new(ClientConfig { certs_d: dir.path().into(), retries: 1000, ..Default::default() }).unwrap();
    // Nobody listens on port 1.
    for registry in ["127.0.0.1:1", "localhost:1"] {
        let image = reference(registry, "a/b:1");
        let resolved = tokio::time::timeout(Duration::from_secs(120), client.resolve(&image, None)).await;
        let error = resolved.unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.to_string().contains("Connection refused"), "{error}");
    }
}
