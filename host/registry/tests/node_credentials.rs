//! Credentials that the node has by itself: Docker's configuration file and the helpers that it names.

#![allow(clippy::unwrap_used, reason = "a test ends where it is wrong")]

mod support;

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration};

use support::{Fake, Reply, manifest_reply, reference};
use wharf_error::Kind;
use wharf_registry::{Auth, Client, ClientConfig, DockerConfig};

const SECRET: &str = "hidden-from-everybody";

fn client(dir: &Path, config: &str) -> Client {
    std::fs::write(dir.join("config.json"), config).unwrap();
    Client::new(ClientConfig {
        certs_d: dir.join("certs.d"),
        credentials: Some(DockerConfig::at(dir.join("config.json"))),
        backoff: Duration::from_millis(5),
        ..ClientConfig::default()
    })
    .unwrap()
}

/// Wants user `node` with the secret as password, by basic authentication.
async fn guarded() -> Fake {
    // base64 of "node:hidden-from-everybody"
    Fake::start(|seen| match seen.header("authorization") {
        Some("Basic bm9kZTpoaWRkZW4tZnJvbS1ldmVyeWJvZHk=") => manifest_reply(),
        _ => Reply::status(401).header("www-authenticate", "Basic realm=\"r\""),
    })
    .await
}

#[tokio::test]
async fn a_request_without_credentials_uses_the_node_s_own_for_that_host_alone() {
    let (fake, other, dir) = (guarded().await, guarded().await, tempfile::tempdir().unwrap());
    let config = format!(r#"{{"auths": {{"{}": {{"username": "node", "password": "{SECRET}"}}}}}}"#, fake.address);
    let client = client(dir.path(), &config);
    client.resolve(&reference(&fake.address, "a/b:1"), None).await.unwrap();
    let error = client.resolve(&reference(&other.address, "a/b:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    assert!(other.seen().iter().all(|seen| seen.header("authorization").is_none()));
    // The caller's word comes first, also where it is wrong.
    let wrong = Auth { username: "node".into(), password: "guessed".into(), ..Auth::default() };
    assert!(client.resolve(&reference(&fake.address, "a/c:1"), Some(&wrong)).await.is_err());

    // The file is read at each question.
    std::fs::write(dir.path().join("config.json"), "{}").unwrap();
    assert!(client.resolve(&reference(&fake.address, "a/d:1"), None).await.is_err());
    std::fs::write(dir.path().join("config.json"), format!("{{{SECRET}")).unwrap();
    let error = client.resolve(&reference(&fake.address, "a/d:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    assert!(error.to_string().contains("config.json") && !error.to_string().contains(SECRET), "{error}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_keeps_nobody_from_what_needs_no_credentials() {
    let fake = Fake::start(|_| manifest_reply()).await;
    let dir = tempfile::tempdir().unwrap();
    for config in ["{\"auths\": {", "", "[]", "{\"credsStore\": \"absent\"}", "{\"auths\": null, \"credsStore\": null}"]
    {
        let resolved = client(dir.path(), config).resolve(&reference(&fake.address, "a/b:1"), None).await;
        assert!(resolved.is_ok(), "{config}: {:?}", resolved.err().map(|error| error.to_string()));
    }
}

/// Helpers are looked for on the `PATH`, so this part runs in a process of its own.
#[test]
fn helpers_are_asked_as_docker_asks_them() {
    let dir = tempfile::tempdir().unwrap();
    let script = |name: &str, body: &str| {
        let path = dir.path().join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let log = dir.path().join("asked");
    let log = log.display();
    script(
        "good",
        &format!(
            r#"read server; echo "$1 $server" >> {log}; echo '{{"ServerURL": "x", "Username": "node", "Secret": "{SECRET}"}}'"#
        ),
    );
    script("token", &format!(r#"echo '{{"Username": "<token>", "Secret": "{SECRET}"}}'"#));
    script("none", "echo credentials not found in native keychain; exit 1");
    script("broken", &format!("echo '{{{SECRET}'"));
    script("failing", "echo the keyring is locked; exit 1");
    script("hanging", "exec sleep 1000");
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let inner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "with_helpers_on_the_path", "--nocapture"])
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inner.stdout).into_owned() + &String::from_utf8_lossy(&inner.stderr);
    assert!(inner.status.success() && said.contains("1 passed"), "{said}");
    let asked = std::fs::read_to_string(dir.path().join("asked")).unwrap();
    let lines: Vec<&str> = asked.lines().collect();
    assert_eq!(lines.len(), 2, "once a host, then its answer is known: {asked}");
    assert!(lines[0].starts_with("get 127.0.0.1:") && lines[1] == "get https://index.docker.io/v1/", "{asked}");
}

#[tokio::test]
#[ignore = "run by helpers_are_asked_as_docker_asks_them"]
async fn with_helpers_on_the_path() {
    let (fake, dir) = (guarded().await, tempfile::tempdir().unwrap());
    let client_with =
        |helper: &str| client(dir.path(), &format!(r#"{{"credHelpers": {{"{}": "{helper}"}}}}"#, fake.address));
    let good = client_with("good");
    for name in ["a/b:1", "a/c:1"] {
        good.resolve(&reference(&fake.address, name), None).await.unwrap();
    }
    for (helper, kind, part) in [
        ("none", Kind::Unauthenticated, "none were given"),
        ("broken", Kind::Unauthenticated, "its answer is no JSON"),
        ("failing", Kind::Unauthenticated, "docker-credential-failing: ask for credentials of 127.0.0.1"),
        ("failing", Kind::Unauthenticated, "the keyring is locked"),
        ("absent", Kind::Unauthenticated, "docker-credential-absent"),
        ("../good", Kind::Unauthenticated, "no name of a program"),
    ] {
        let error = client_with(helper).resolve(&reference(&fake.address, "a/b:1"), None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{helper}: {error}");
        assert!(error.to_string().contains(part) && !error.to_string().contains(SECRET), "{helper}: {error}");
    }

    let store = |text: &str| {
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        DockerConfig::at(dir.path().join("config.json"))
    };
    let found = store(r#"{"credsStore": "good"}"#).credentials("docker.io", "library/busybox").await.unwrap().unwrap();
    assert_eq!((found.username.as_str(), found.password.as_str()), ("node", SECRET));
    let found = store(r#"{"credsStore": "token"}"#).credentials("docker.io", "a").await.unwrap().unwrap();
    assert_eq!((found.identity_token.as_str(), found.username.as_str()), (SECRET, ""));

    // A caller that goes away takes the helper along.
    let hanging = store(r#"{"credsStore": "hanging"}"#);
    let gone = tokio::time::timeout(Duration::from_millis(300), hanging.credentials("docker.io", "a")).await;
    assert!(gone.is_err());
}

#[test]
fn the_file_is_found_without_a_word_of_the_environment() {
    for (home, config, expected) in
        [(None, None, None), (Some("/h"), None, Some("/h/.docker")), (Some("/h"), Some("/c"), Some("/c"))]
    {
        let mut inner = Command::new(std::env::current_exe().unwrap());
        inner.args(["--ignored", "--exact", "where_the_file_is_looked_for", "--nocapture"]);
        for (name, value) in [("HOME", home), ("DOCKER_CONFIG", config)] {
            match value {
                Some(value) => inner.env(name, value),
                None => inner.env_remove(name),
            };
        }
        let inner = inner.output().unwrap();
        let said = String::from_utf8_lossy(&inner.stdout).into_owned();
        // The home of whoever runs this test, whatever the environment said.
        let passwd = Command::new("sh").args(["-c", "getent passwd $(id -u) | cut -d: -f6"]).output().unwrap();
        let own = format!("{}/.docker", String::from_utf8(passwd.stdout).unwrap().trim());
        let expected = format!("looked for {}/config.json", expected.unwrap_or(&own));
        assert!(said.contains(&expected), "{expected:?} is not in {said}");
    }
}

#[test]
#[ignore = "run by the_file_is_found_without_a_word_of_the_environment"]
fn where_the_file_is_looked_for() {
    println!("looked for {}", DockerConfig::of_environment().unwrap().path().display());
}
