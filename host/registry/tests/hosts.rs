//! Mirrors, fallbacks and TLS as hosts.toml says.

#![allow(clippy::unwrap_used, reason = "a test ends where it is wrong")]

mod support;

use std::sync::Arc;

use support::{
    Authority, Fake, OCI_MANIFEST, Reply, blob, certificate, client, hosts, manifest, manifest_reply, read_all,
    reference,
};
use wharf_error::Kind;
use wharf_registry::{Client, ClientConfig};

#[tokio::test]
async fn a_mirror_is_asked_first_and_told_for_whom() {
    let mirror = Fake::start(|_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    hosts(dir.path(), "registry.example:5000", &format!("[host.'http://{}']", mirror.address));
    let resolved = client(dir.path()).resolve(&reference("registry.example:5000", "a/b:1"), None).await.unwrap();
    assert_eq!(resolved.bytes, manifest());
    assert_eq!(resolved.descriptor.media_type().as_ref(), OCI_MANIFEST);
    assert_eq!(mirror.seen()[0].path, "/v2/a/b/manifests/1?ns=registry.example%3A5000");
    let accept = mirror.seen()[0].header("accept").unwrap().to_owned();
    for media_type in ["oci.image.index.v1", "oci.image.manifest.v1", "manifest.list.v2", "manifest.v2"] {
        assert!(accept.contains(media_type), "{accept}");
    }
}

#[tokio::test]
async fn each_host_that_fails_is_passed_over_and_all_are_told() {
    let broken = Fake::start(|_| Reply::status(500)).await;
    let empty = Fake::start(|_| Reply::not_found()).await;
    let fake = Fake::start(|_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens on port 1.
    let mirrors =
        format!("[host.'http://127.0.0.1:1']\n[host.'http://{}']\n[host.'http://{}']\n", broken.address, empty.address);
    hosts(dir.path(), &fake.address, &mirrors);
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    client.resolve(&image, None).await.unwrap();
    assert_eq!((broken.seen().len(), empty.seen().len(), fake.seen().len()), (1, 1, 1));
    assert_eq!(fake.seen()[0].path, "/v2/a/b/manifests/1", "the registry itself needs no ns");

    hosts(dir.path(), &fake.address, &format!("server = 'http://{}'\n{mirrors}", empty.address));
    let error = client.resolve(&image, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "the last host's word");
    let text = error.to_string();
    for part in [image.to_string().as_str(), "127.0.0.1:1: ", "Connection refused", "500", "manifest unknown"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test]
async fn capabilities_say_what_a_mirror_is_asked_for() {
    let (bytes, layer) = blob(1000);
    let mirror = Fake::start(move |_| Reply::ok(bytes.clone())).await;
    let fake = Fake::start(|_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    hosts(dir.path(), &fake.address, &format!("[host.'http://{}']\ncapabilities = ['pull']", mirror.address));
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    client.resolve(&image, None).await.unwrap();
    assert_eq!(mirror.seen().len(), 0, "it may not say what a tag is");
    assert_eq!(read_all(&client, &image, &layer).await.unwrap().len(), 1000);
    assert_eq!((mirror.seen().len(), fake.seen().len()), (1, 1));
}

#[tokio::test]
async fn the_file_is_read_at_each_call() {
    let old = Fake::start(|_| manifest_reply()).await;
    let new = Fake::start(|_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let image = reference("registry.example", "a/b:1");
    for fake in [&old, &new] {
        hosts(dir.path(), "registry.example", &format!("[host.'http://{}']", fake.address));
        client.resolve(&image, None).await.unwrap();
    }
    assert_eq!((old.seen().len(), new.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_path_can_be_the_root_of_the_api() {
    let fake = Fake::start(|_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    let text = format!("[host.'http://{}/proxy/hub']\noverride_path = true", fake.address);
    hosts(dir.path(), "docker.io", &text);
    client(dir.path()).resolve(&"busybox".parse().unwrap(), None).await.unwrap();
    assert_eq!(fake.seen()[0].path, "/proxy/hub/library/busybox/manifests/latest?ns=docker.io");
}

#[tokio::test]
async fn the_last_host_is_asked_again_while_it_is_busy() {
    let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = calls.clone();
    let fake = Fake::start(move |_| match counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::status(503),
        1 => Reply::status(429),
        _ => manifest_reply(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    client(dir.path()).resolve(&reference(&fake.address, "a/b:1"), None).await.unwrap();
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn a_host_that_breaks_off_or_names_its_time_is_asked_again() {
    let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = calls.clone();
    let fake = Fake::start(move |_| match counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::reset(),
        1 => Reply::status(429).header("retry-after", "1"),
        _ => manifest_reply(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let began = std::time::Instant::now();
    client(dir.path()).resolve(&reference(&fake.address, "a/b:1"), None).await.unwrap();
    assert_eq!(fake.seen().len(), 3);
    assert!(began.elapsed() >= std::time::Duration::from_secs(1), "no earlier than it said");
}

#[tokio::test]
async fn who_wants_to_be_left_alone_for_long_is_not_waited_for() {
    let fake = Fake::start(|_| Reply::status(503).header("retry-after", "3600")).await;
    let dir = tempfile::tempdir().unwrap();
    let error = client(dir.path()).resolve(&reference(&fake.address, "a/b:1"), None).await.unwrap_err();
    assert_eq!((error.kind(), fake.seen().len()), (Kind::Unavailable, 1));
    assert!(error.to_string().contains("left alone for 3600 s"), "{error}");
}

#[tokio::test]
async fn a_host_that_wants_to_know_its_clients_is_shown_a_certificate() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let fake = Fake::start_tls(servers.server(Some(&clients)), |_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    let folder = dir.path().join(&fake.address);
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
    };
    let (certificate, key) = clients.signed("node");
    let (certificate, key) = (certificate.pem(), key.serialize_pem());

    // Docker's way, a folder of certificates without hosts.toml: nobody is let in without one.
    write("ca.crt", &servers.pem);
    assert_eq!(client.resolve(&image, None).await.unwrap_err().kind(), Kind::Unavailable);
    write("node.cert", &certificate);
    write("node.key", &key);
    client.resolve(&image, None).await.unwrap();
    std::fs::remove_file(folder.join("node.key")).unwrap();
    write("node.cert", &format!("{certificate}{key}"));
    client.resolve(&image, None).await.unwrap();

    let of_a_stranger = Authority::new("strangers").signed("node");
    write("other.pem", &format!("{}{}", of_a_stranger.0.pem(), of_a_stranger.1.serialize_pem()));
    write("certificate.pem", &certificate);
    write("key.pem", &key);
    let server = format!("server = 'https://{}'\nca = 'ca.crt'\n", fake.address);
    for (pairs, good) in [
        ("[['certificate.pem', 'key.pem']]", true),
        ("'node.cert'", true),
        ("['node.cert']", true),
        ("'other.pem'", false),
        // Of several the one is shown that the server can know.
        ("['other.pem', 'node.cert']", true),
        ("['other.pem', ['certificate.pem', 'key.pem']]", true),
        ("['other.pem', 'other.pem']", false),
        ("[]", false),
    ] {
        hosts(dir.path(), &fake.address, &format!("{server}client = {pairs}"));
        let asked = fake.seen().len();
        let resolved = client.resolve(&image, None).await;
        assert_eq!((resolved.is_ok(), fake.seen().len() > asked), (good, good), "{pairs}: {resolved:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_shown_is_an_error_that_names_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("servers");
    let (one, other) = (authority.signed("node"), authority.signed("node"));
    hosts(dir.path(), "registry.example", "client = [['good.pem', 'good.key'], ['cert.pem', 'key.pem']]");
    let folder = dir.path().join("registry.example");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("good.pem", &other.0.pem());
    write("good.key", &other.1.serialize_pem());
    let client = client(dir.path());
    for (certificate, key, why) in [
        (one.0.pem(), other.1.serialize_pem(), "the key is not the certificate's"),
        (one.0.pem(), "# to come\n".into(), "read its key in"),
        ("# to come\n".into(), one.1.serialize_pem(), "there is no certificate in it"),
    ] {
        write("cert.pem", &certificate);
        write("key.pem", &key);
        let error = client.resolve(&reference("registry.example", "a/b:1"), None).await.unwrap_err();
        assert_eq!(error.kind(), Kind::FailedPrecondition);
        let text = error.to_string();
        assert!(text.contains("registry.example/cert.pem") && text.contains(why), "{text}");
    }
}

#[tokio::test]
async fn the_folder_of_all_registries_and_that_of_a_port_are_asked_for_certificates() {
    let (config, ca) = certificate();
    let fake = Fake::start_tls(config, |_| manifest_reply()).await;
    let with_port = format!("{}_", fake.address.replace(':', "_"));
    for folder in ["_default", &with_port] {
        let dir = tempfile::tempdir().unwrap();
        // No `server`: with an authority the registry itself is spoken to by TLS, on loopback too.
        hosts(dir.path(), folder, "ca = 'ca.pem'");
        std::fs::write(dir.path().join(folder).join("ca.pem"), &ca).unwrap();
        client(dir.path()).resolve(&reference(&fake.address, "a/b:1"), None).await.unwrap();
    }
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn an_authority_without_a_certificate_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    hosts(dir.path(), "registry.example", "ca = 'empty.pem'");
    std::fs::write(dir.path().join("registry.example/empty.pem"), "# to come\n").unwrap();
    let error = client(dir.path()).resolve(&reference("registry.example", "a/b:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    let text = error.to_string();
    assert!(text.contains("empty.pem") && text.contains("no certificate"), "{text}");
}

#[tokio::test]
async fn a_host_that_takes_no_connection_is_left_after_its_dial_timeout() {
    // A listener whose queue is full: who connects now hears nothing.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(std::time::Duration::from_secs(1), tokio::net::TcpStream::connect(address)).await
    {
        queue.push(connected.unwrap());
        assert!(queue.len() < 100, "the queue has no end");
    }
    let fake = Fake::start(|_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    hosts(dir.path(), &fake.address, &format!("[host.'http://{address}']\ndial_timeout = '300ms'"));
    let client = Client::new(ClientConfig {
        certs_d: dir.path().into(),
        connect_timeout: std::time::Duration::from_secs(3600),
        progress_timeout: std::time::Duration::from_secs(3600),
        ..Default::default()
    });
    let client = client.unwrap();
    let image = reference(&fake.address, "a/b:1");
    let resolved = tokio::time::timeout(std::time::Duration::from_secs(120), client.resolve(&image, None)).await;
    resolved.unwrap().unwrap();
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn tls_is_verified_unless_the_file_says_otherwise() {
    let (config, ca) = certificate();
    let fake = Fake::start_tls(config, |_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    let server = format!("server = 'https://{}'\n", fake.address);

    hosts(dir.path(), &fake.address, &server);
    let error = client.resolve(&image, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("connect: invalid peer certificate: UnknownIssuer"), "{error}");
    assert_eq!(fake.seen().len(), 0);

    std::fs::write(dir.path().join(&fake.address).join("ca.pem"), ca).unwrap();
    hosts(dir.path(), &fake.address, &format!("{server}ca = 'ca.pem'"));
    client.resolve(&image, None).await.unwrap();

    hosts(dir.path(), &fake.address, &format!("{server}skip_verify = true"));
    client.resolve(&image, None).await.unwrap();

    hosts(dir.path(), &fake.address, &format!("{server}ca = 'absent.pem'"));
    let error = client.resolve(&image, None).await.unwrap_err();
    assert!(error.to_string().contains("absent.pem"), "{error}");
}

#[tokio::test]
async fn a_tag_is_not_followed_from_https_to_plain_http() {
    let (config, ca) = certificate();
    let (bytes, layer) = blob(1000);
    let plain = Fake::start(move |_| Reply::ok(bytes.clone())).await;
    let to = format!("http://{}/x", plain.address);
    let fake = Fake::start_tls(config, move |_| Reply::redirect(to.clone())).await;
    let dir = tempfile::tempdir().unwrap();
    hosts(dir.path(), &fake.address, &format!("server = 'https://{}'\nca = 'ca.pem'", fake.address));
    std::fs::write(dir.path().join(&fake.address).join("ca.pem"), ca).unwrap();
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    let error = client.resolve(&image, None).await.unwrap_err();
    assert!(error.to_string().contains("from https to plain http"), "{error}");
    assert_eq!(plain.seen().len(), 0);
    assert_eq!(read_all(&client, &image, &layer).await.unwrap().len(), 1000, "a digest protects these bytes");
}
