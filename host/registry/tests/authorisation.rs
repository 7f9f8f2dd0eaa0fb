//! Who is shown what: basic, bearer and identity tokens, and what is never sent where.

#![allow(clippy::unwrap_used, reason = "a test ends where it is wrong")]

mod support;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use support::{Fake, Reply, blob, client, hosts, manifest_reply, read_all, reference};
use wharf_error::Kind;
use wharf_registry::Auth;

fn user(name: &str, password: &str) -> Auth {
    Auth { username: name.into(), password: password.into(), ..Auth::default() }
}

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

/// A registry that wants `token` as bearer, from the token server at `realm`.
fn guarded(token: &'static str, realm: String) -> impl Fn(&support::Seen) -> Reply + Send + Sync + 'static {
    move |seen| {
        if seen.header("authorization") == Some(&format!("Bearer {token}")) {
            return manifest_reply();
        }
        let repository = seen.path.trim_start_matches("/v2/").split("/manifests").next().unwrap().to_owned();
        Reply::status(401).header(
            "www-authenticate",
            format!(r#"Bearer realm="{realm}",service="test-registry",scope="repository:{repository}:pull""#),
        )
    }
}

#[tokio::test]
async fn basic_credentials_are_sent_once_they_are_asked_for() {
    let fake = Fake::start(|seen| match seen.header("authorization") {
        Some(value) if value == basic("me:secret") => manifest_reply(),
        _ => Reply::status(401).header("www-authenticate", "Basic realm=\"test\""),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    client.resolve(&image, Some(&user("me", "secret"))).await.unwrap();
    assert_eq!(fake.seen()[0].header("authorization"), None, "not before it is asked for");
    client.resolve(&image, Some(&user("me", "secret"))).await.unwrap();
    assert_eq!(fake.seen().len(), 3, "the second time at once");

    let wrong = client.resolve(&image, Some(&user("me", "wrong"))).await.unwrap_err();
    assert_eq!(wrong.kind(), Kind::Unauthenticated, "{wrong}");
    assert!(!wrong.to_string().contains("wrong"), "a password in an error: {wrong}");
    let none = client.resolve(&image, None).await.unwrap_err();
    assert_eq!(none.kind(), Kind::Unauthenticated);
    assert!(none.to_string().contains("wants a user and a password"), "{none}");
}

#[tokio::test]
async fn a_token_is_fetched_for_the_repository_and_kept() {
    let tokens = Fake::start(|seen| {
        if seen.header("authorization").is_some_and(|value| value != basic("me:secret")) {
            return Reply::status(401);
        }
        Reply::ok(r#"{"access_token":"t1","expires_in":300}"#)
    })
    .await;
    let fake = Fake::start(guarded("t1", format!("http://{}/token", tokens.address))).await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    for _ in 0..3 {
        client.resolve(&reference(&fake.address, "a/b:1"), Some(&user("me", "secret"))).await.unwrap();
    }
    assert_eq!(tokens.seen().len(), 1);
    let asked = &tokens.seen()[0];
    assert_eq!(asked.path, "/token?scope=repository%3Aa%2Fb%3Apull&service=test-registry&account=me");
    assert_eq!(asked.header("authorization"), Some(basic("me:secret").as_str()));

    client.resolve(&reference(&fake.address, "a/other:1"), None).await.unwrap();
    assert_eq!(tokens.seen().len(), 2, "another repository, another caller: another token");
    assert_eq!(tokens.seen()[1].header("authorization"), None, "one caller's credentials are not another's");
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_fetched_anew() {
    let tokens = Fake::start(|_| Reply::ok(r#"{"token":"t1"}"#)).await;
    let realm = format!("http://{}/token", tokens.address);
    let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = taken.clone();
    let inner = guarded("t1", realm);
    // The second request with the token is refused, as if it had ended.
    let fake = Fake::start(move |seen| {
        let with_token = seen.header("authorization").is_some();
        if with_token && counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            let mut plain = seen.clone();
            plain.headers.clear();
            return inner(&plain);
        }
        inner(seen)
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    client.resolve(&image, None).await.unwrap();
    client.resolve(&image, None).await.unwrap();
    assert_eq!(tokens.seen().len(), 2);
}

#[tokio::test]
async fn a_token_that_is_never_taken_ends_in_an_error() {
    let tokens = Fake::start(|_| Reply::ok(r#"{"token":"other"}"#)).await;
    let fake = Fake::start(guarded("t1", format!("http://{}/token", tokens.address))).await;
    let dir = tempfile::tempdir().unwrap();
    let error = client(dir.path()).resolve(&reference(&fake.address, "a/b:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated, "{error}");
    assert!(fake.seen().len() <= 3, "no endless asking");
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post_and_a_registry_token_is_sent_as_it_is() {
    let tokens = Fake::start(|_| Reply::ok(r#"{"access_token":"t1","expires_in":60}"#)).await;
    let fake = Fake::start(guarded("t1", format!("http://{}/token", tokens.address))).await;
    let dir = tempfile::tempdir().unwrap();
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    let identity = Auth { identity_token: "refresh me".into(), ..Auth::default() };
    client.resolve(&image, Some(&identity)).await.unwrap();
    let asked = &tokens.seen()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/token"));
    assert_eq!(
        asked.body,
        "grant_type=refresh_token&refresh_token=refresh+me&client_id=wharf&scope=repository%3Aa%2Fb%3Apull&service=test-registry"
    );
    let registry = Auth { registry_token: "t1".into(), ..Auth::default() };
    client.resolve(&image, Some(&registry)).await.unwrap();
    assert_eq!(tokens.seen().len(), 1, "nothing was exchanged");
}

#[tokio::test]
async fn a_refusing_token_server_says_why() {
    let refusal = r#"{"errors":[{"code":"DENIED","message":"requested access\nis denied"}]}"#;
    let tokens = Fake::start(move |_| Reply::status(403).body(refusal)).await;
    let fake = Fake::start(guarded("t1", format!("http://{}/token", tokens.address))).await;
    let dir = tempfile::tempdir().unwrap();
    let error = client(dir.path()).resolve(&reference(&fake.address, "a/b:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    let text = error.to_string();
    assert!(text.contains("get a token from 127.0.0.1") && text.contains("requested access is denied"), "{text}");
}

#[tokio::test]
async fn nothing_private_crosses_to_the_host_of_a_redirect() {
    let (bytes, layer) = blob(100_000);
    let store = Fake::start(move |_| Reply::ok(bytes.clone())).await;
    let location = format!("http://{}/signed?x=1", store.address);
    let fake = Fake::start(move |seen| {
        if seen.header("authorization") != Some(&basic("me:secret")) {
            return Reply::status(401).header("www-authenticate", "Basic");
        }
        Reply::redirect(location.clone())
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let text = format!("server = 'http://{}'\n[header]\nx-private = 'mine'", fake.address);
    hosts(dir.path(), &fake.address, &text);
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    drop(client.blob(&image, &layer, Some(&user("me", "secret"))).await.unwrap());
    assert_eq!(fake.seen()[1].header("x-private"), Some("mine"));
    let arrived = &store.seen()[0];
    assert_eq!(arrived.path, "/signed?x=1");
    assert_eq!(arrived.header("authorization"), None);
    assert_eq!(arrived.header("x-private"), None);
}

#[tokio::test]
async fn a_redirect_on_the_same_host_keeps_the_authorisation() {
    let (bytes, layer) = blob(10);
    let fake = Fake::start(move |seen| match seen.header("authorization") {
        None => Reply::status(401).header("www-authenticate", "Basic"),
        Some(_) if seen.path.starts_with("/v2/") => Reply::redirect("/elsewhere"),
        Some(_) => Reply::ok(bytes.clone()),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut stream =
        client(dir.path()).blob(&reference(&fake.address, "a/b:1"), &layer, Some(&user("me", "secret"))).await.unwrap();
    let first = futures::StreamExt::next(&mut stream).await.unwrap().unwrap();
    assert_eq!(first.len(), 10);
}

#[tokio::test]
async fn a_mirror_never_sees_the_registry_s_credentials() {
    let mirror = Fake::start(|seen| match seen.header("authorization") {
        None => Reply::status(401).header("www-authenticate", "Basic"),
        Some(_) => manifest_reply(),
    })
    .await;
    let fake = Fake::start(|seen| match seen.header("authorization") {
        None => Reply::status(401).header("www-authenticate", "Basic"),
        Some(_) => manifest_reply(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    hosts(dir.path(), &fake.address, &format!("[host.'http://{}']", mirror.address));
    let client = client(dir.path());
    let image = reference(&fake.address, "a/b:1");
    client.resolve(&image, Some(&user("me", "secret"))).await.unwrap();
    assert_eq!(mirror.seen().len(), 1);
    assert_eq!(mirror.seen()[0].header("authorization"), None);
    assert!(fake.seen()[1].header("authorization").is_some());

    let for_mirror = Auth { server_address: mirror.address.clone(), ..user("me", "secret") };
    client.resolve(&image, Some(&for_mirror)).await.unwrap();
    assert!(mirror.seen().last().unwrap().header("authorization").is_some(), "they are the mirror's own");
}

#[tokio::test]
async fn a_busy_loop_of_redirects_ends() {
    let fake = Fake::start(|seen| Reply::redirect(format!("{}x", seen.path))).await;
    let dir = tempfile::tempdir().unwrap();
    let image = reference(&fake.address, "a/b:1");
    let error = client(dir.path()).resolve(&image, None).await.unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
    let (_, layer) = blob(10);
    assert!(read_all(&client(dir.path()), &image, &layer).await.is_err());
}
