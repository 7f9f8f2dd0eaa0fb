//! Registries behind a proxy.

#![allow(clippy::unwrap_used, reason = "a test ends where it is wrong")]

mod support;

use std::path::Path;

use support::{Fake, Reply, blob, certificate, hosts, manifest_reply, read_all, reference};
use wharf_registry::{Client, ClientConfig, Proxies};
use wharf_testkit::Proxy;

fn client(certs_d: &Path, variables: &[(&str, &str)]) -> Client {
    let value = |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
    let proxies = Proxies::from_variables(value);
    Client::new(ClientConfig { certs_d: certs_d.into(), retries: 0, proxies, ..Default::default() }).unwrap()
}

fn asked(proxy: &Proxy) -> Vec<(String, String)> {
    proxy.seen().into_iter().map(|seen| (seen.method, seen.target)).collect()
}

#[tokio::test]
async fn a_registry_of_https_is_reached_through_a_tunnel() {
    let (config, _) = certificate();
    let (bytes, layer) = blob(100_000);
    let fake = Fake::start_tls(config, move |seen| match seen.path.contains("/blobs/") {
        true => Reply::ok(bytes.clone()),
        false => manifest_reply(),
    })
    .await;
    let proxy = Proxy::start(&fake.address).unwrap();
    let dir = tempfile::tempdir().unwrap();
    hosts(dir.path(), "r.invalid", "skip_verify = true");
    let url = format!("http://me:se%20cret@{}", proxy.address());
    let client = client(dir.path(), &[("HTTPS_PROXY", &url), ("HTTP_PROXY", "http://127.0.0.1:1")]);
    let image = reference("r.invalid", "a/b:1");
    client.resolve(&image, None).await.unwrap();
    assert_eq!(read_all(&client, &image, &layer).await.unwrap().len(), 100_000);
    let seen = proxy.seen();
    assert!(seen.iter().all(|seen| seen.method == "CONNECT" && seen.target == "r.invalid:443"), "{seen:?}");
    // me:se cret
    assert_eq!(seen[0].authorization.as_deref(), Some("Basic bWU6c2UgY3JldA=="));
    assert!(fake.seen().iter().all(|seen| seen.header("proxy-authorization").is_none()));
}

#[tokio::test]
async fn a_registry_of_http_is_asked_by_the_proxy() {
    let fake = Fake::start(|_| manifest_reply()).await;
    let proxy = Proxy::start(&fake.address).unwrap();
    let dir = tempfile::tempdir().unwrap();
    hosts(dir.path(), "r.invalid:5000", "server = 'http://r.invalid:5000'");
    let client = client(dir.path(), &[("http_proxy", &proxy.address())]);
    client.resolve(&reference("r.invalid:5000", "a/b:1"), None).await.unwrap();
    assert_eq!(asked(&proxy), [("GET".into(), "http://r.invalid:5000/v2/a/b/manifests/1".into())]);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn who_is_excepted_and_this_machine_are_asked_directly() {
    let here = Fake::start(|_| manifest_reply()).await;
    let proxy = Proxy::start(&here.address).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let client = client(
        dir.path(),
        &[("ALL_PROXY", &proxy.address()), ("NO_PROXY", "example.com, .direct.invalid,192.0.2.0/24")],
    );
    client.resolve(&reference(&here.address, "a/b:1"), None).await.unwrap();
    // Nobody knows this name, so there is nobody behind it but by the proxy.
    client.resolve(&reference("r.direct.invalid", "a/b:1"), None).await.unwrap_err();
    assert_eq!(asked(&proxy), []);
}

#[tokio::test]
async fn what_this_machine_redirects_to_elsewhere_is_got_through_the_proxy() {
    let (bytes, layer) = blob(1000);
    let elsewhere = Fake::start(move |_| Reply::ok(bytes.clone())).await;
    let proxy = Proxy::start(&elsewhere.address).unwrap();
    let here = Fake::start(|_| Reply::redirect("http://store.invalid/x?signed=1")).await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path(), &[("HTTP_PROXY", &proxy.address())]);
    assert_eq!(read_all(&client, &reference(&here.address, "a/b:1"), &layer).await.unwrap().len(), 1000);
    assert_eq!(asked(&proxy), [("GET".into(), "http://store.invalid/x?signed=1".into())]);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_makes_no_sense_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = |variables: &[(&str, &str)]| {
        let client = client(dir.path(), variables);
        async move { client.resolve(&reference("r.invalid", "a/b:1"), None).await.unwrap_err().to_string() }
    };
    // Nobody listens on port 1.
    let text = error(&[("HTTPS_PROXY", "http://127.0.0.1:1")]).await;
    assert!(text.contains("Connection refused"), "{text}");
    let text = error(&[("HTTPS_PROXY", "socks5://127.0.0.1:1")]).await;
    assert!(text.contains("HTTPS_PROXY") && text.contains("socks5"), "{text}");
}
